-- Model servers that the agent started: where each answers, and how it does.
create table model_servers (
    service text not null,
    version bigint not null,
    doc text not null,
    primary key (service, version)
);
