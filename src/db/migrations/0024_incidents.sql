create table alert_rules (
    name text primary key,
    doc text not null
);

create table incidents (
    id bigint primary key,
    service text not null,
    doc text not null
);
create index incidents_by_service on incidents (service, id);

-- What has to be told to the outside; 'told' is 1 once every receiver has it.
create table incident_notices (
    id bigint primary key,
    told bigint not null default 0,
    doc text not null
);
create index incident_notices_open on incident_notices (told, id);
