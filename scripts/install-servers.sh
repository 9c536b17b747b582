#!/bin/sh
# Makes sure that the servers which the tests start for themselves are on this machine: PostgreSQL (apt as root).
set -eu
if command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing PostgreSQL for the tests"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
    exit 0
fi
echo "no PostgreSQL server found: install it (Debian: apt install postgresql) and run again" >&2
exit 1
