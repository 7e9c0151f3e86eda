-- Versions of services that predictions came from.
create table monitor_arms (
    number bigint primary key,
    service text not null,
    version text not null,
    doc text not null
);

-- What came in, as it came: predictions (kind 0) and labels (kind 1), a JSON object a line.
create table monitor_journal (
    seq bigint primary key,
    arrived bigint not null,
    count bigint not null,
    kind bigint not null,
    body bytea not null
);

-- How far the journal is counted.
create table monitor_position (
    id bigint primary key,
    seq bigint not null,
    doc text not null
);

-- Counters of a minute (span 1) or an hour (span 60); slice '' is everything.
create table monitor_cells (
    arm bigint not null,
    slice text not null,
    minute bigint not null,
    span bigint not null,
    doc bytea not null,
    primary key (arm, slice, minute, span)
);
create index monitor_cells_by_span on monitor_cells (span, minute);
