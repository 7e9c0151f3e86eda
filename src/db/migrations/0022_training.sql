-- What came of repeating a run: written once, by the agent that held the two runs against each other.
create table run_grades (
    id bigint primary key,
    at bigint not null,
    run text not null,
    -- The repetition; empty when nothing could be run.
    rerun text not null,
    verdict text not null,
    doc text not null
);
create index run_grades_by_run on run_grades (run, id);
create index run_grades_by_rerun on run_grades (rerun, id);
