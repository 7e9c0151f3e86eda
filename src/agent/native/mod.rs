//! opsroom's own API, `/api/v1`: the rooms' own types in JSON.
