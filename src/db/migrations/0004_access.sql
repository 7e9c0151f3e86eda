-- Secrets are kept as digests only.
create table access_tokens (
    name text primary key,
    digest text not null,
    role text not null,
    created bigint not null,
    expires bigint,
    revoked bigint
);
create unique index access_tokens_by_digest on access_tokens (digest);
