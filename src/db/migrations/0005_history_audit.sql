-- The audit record under which a stage or alias changed; older entries do not know it.
alter table registry_history add column audit bigint;
