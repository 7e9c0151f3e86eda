#!/usr/bin/env bash
# A throw-away PostgreSQL cluster on loopback, for tests: `.ci/postgres.sh start [DIR]` prints its URL, `stop [DIR]`
# removes it.
set -euo pipefail

dir=${2:-${TMPDIR:-/tmp}/opsroom-postgres-$(id -u)}
data=$dir/data

# Debian keeps the server's programs out of PATH.
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done

# PostgreSQL refuses to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then
        su postgres -s /bin/bash -c "PATH='$PATH'; cd '$dir'; $(printf '%q ' "$@")"
    else
        "$@"
    fi
}

start() {
    command -v initdb >/dev/null || { echo "initdb is missing: apt-get install postgresql" >&2; exit 1; }
    if [ -f "$dir/url" ] && as_owner pg_ctl -D "$data" status >/dev/null 2>&1; then
        cat "$dir/url"
        return
    fi
    rm -rf "$dir"
    mkdir -p "$dir"
    if [ "$(id -u)" = 0 ]; then
        # Its owner has to reach the folder.
        chmod a+x "$(dirname "$dir")"
        chown postgres "$dir"
    fi
    as_owner initdb -D "$data" -U opsroom -A trust -N -E UTF8 --locale=C >"$dir.log"
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        # No fsync: these clusters are thrown away, and durability is tested on SQLite's system calls.
        options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c fsync=off -c max_connections=200"
        if as_owner pg_ctl -D "$data" -w -l "$dir/server.log" -o "$options" start >>"$dir.log"; then
            echo "postgres://opsroom@127.0.0.1:$port/postgres" | tee "$dir/url"
            return
        fi
    done
    cat "$dir/server.log" >&2
    exit 1
}

stop() {
    [ -d "$data" ] || return 0
    as_owner pg_ctl -D "$data" -m immediate -w stop >/dev/null || true
    rm -rf "$dir" "$dir.log"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start|stop [DIR]" >&2; exit 2 ;;
esac
