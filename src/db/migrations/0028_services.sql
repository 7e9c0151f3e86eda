-- A service with its arms and the rollout that goes on, as one document.
create table services (
    name text primary key,
    model text not null,
    doc text not null
);

-- Rollouts that have ended.
create table rollouts (
    id bigint primary key,
    service text not null,
    doc text not null
);
create index rollouts_by_service on rollouts (service, id);

-- Versions that may not be rolled out.
create table forbidden_versions (
    model text not null,
    version bigint not null,
    at bigint not null,
    actor text not null,
    reason text not null,
    primary key (model, version)
);

-- One row: grows with every change of what routers serve by.
create table route_generation (
    one bigint primary key,
    generation bigint not null
);
insert into route_generation (one, generation) values (1, 0);

-- What versions did, a minute and a weight each; integers that add up exactly.
create table traffic_windows (
    service text not null,
    version bigint not null,
    arm text not null,
    minute bigint not null,
    weight bigint not null,
    doc text not null,
    primary key (service, minute, version, arm, weight)
);

-- The newest batch of each router that was counted: none counts twice.
create table traffic_batches (
    router text primary key,
    sequence bigint not null,
    at bigint not null
);
