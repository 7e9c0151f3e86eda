-- What changes with every prediction of a version, apart from the rest of it.
alter table monitor_arms add column moving text not null default '';

-- The first predictions of a version, until there are enough to make references of: so many rows from one on.
create table monitor_first (
    arm bigint not null,
    begins bigint not null,
    doc bytea not null,
    primary key (arm, begins)
);
