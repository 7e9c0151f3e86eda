-- Erasures of persons: announced before they are decided, begun by the decision, done when nothing of them is left here. The
-- subject stands here only until then.
create table erasures (
    digest text not null,
    at bigint not null,
    state text not null,
    kind text not null,
    subject text,
    doc text not null,
    primary key (digest)
);

-- Backups that were made: what is erased here still stands in them.
create table backups_made (
    made bigint not null,
    place text not null,
    bytes bigint not null,
    primary key (made, place)
);
