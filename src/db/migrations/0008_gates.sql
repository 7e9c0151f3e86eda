create table gates (
    model text not null,
    stage text not null,
    name text not null,
    position bigint not null,
    doc text not null,
    primary key (model, stage, name)
);

-- Decisions with all that they were made from: written once, and judged anew to the same verdict.
create table gate_decisions (
    id bigint primary key,
    at bigint not null,
    model text not null,
    version bigint not null,
    stage text not null,
    verdict text not null,
    doc text not null
);
create index gate_decisions_by_model on gate_decisions (model, id);

-- Kept for good; 'ended' is when one was taken back.
create table gate_waivers (
    id bigint primary key,
    at bigint not null,
    model text not null,
    version bigint not null,
    subject text not null,
    gate text not null,
    until bigint not null,
    actor text not null,
    reason text not null,
    ended bigint
);

create table gate_approvals (
    id bigint primary key,
    at bigint not null,
    model text not null,
    version bigint not null,
    subject text not null,
    stage text not null,
    actor text not null,
    reason text not null,
    ended bigint
);
