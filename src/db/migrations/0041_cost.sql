-- Price lists by the moment that they hold from.
create table cost_rates (
    since bigint primary key,
    doc text not null
);

-- What services run on.
create table cost_servings (
    service text primary key,
    doc text not null
);

create table cost_budgets (
    name text primary key,
    doc text not null
);
