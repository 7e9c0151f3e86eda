-- The chain: each record holds the digest of the one before. Texts stand aside, by salted digest only, so that
-- they can be erased without breaking it.
create table audit_chain (
    seq bigint primary key,
    at bigint not null,
    actor text not null,
    verified boolean not null,
    via text not null,
    command text not null,
    target text not null,
    outcome text not null,
    idempotency_key text,
    detail_digest text not null,
    previous text not null,
    digest text not null
);
create unique index audit_by_idempotency_key on audit_chain (idempotency_key);

create table audit_details (
    seq bigint primary key,
    salt text not null,
    detail text not null
);
