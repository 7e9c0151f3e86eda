-- Hosts: who tells of which, how far it was taken, and what each did by minute.
create table host_edges (
    edge text not null,
    host text not null,
    sequence bigint not null,
    seen bigint not null,
    doc text not null,
    primary key (edge)
);

create table host_minutes (
    host text not null,
    minute bigint not null,
    doc text not null,
    primary key (host, minute)
);
