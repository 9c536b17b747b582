#!/bin/sh
# Installs clients of others, unmodified, which tests/contracts/test_clients.py points at a local service. Usage: install-clients.sh VENV
#
# blackforest asks for an old Pillow that it needs for nothing here, so it comes without what it depends on. Where there is no npm
# the clients of Node stay away, and their test says so.
set -eu
python=$1/bin/python
folder=$1/clients

"$python" -c 'import blackforest' 2>/dev/null || "$python" -m pip install --quiet --no-deps blackforest==0.1.3

if command -v npm >/dev/null 2>&1 && [ ! -d "$folder/node_modules/bfl-2" ]; then
    echo "installing Node clients for the tests"
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --no-package-lock --prefix "$folder" ai@6.0.326 zod@4.1.13 \
        bfl-1@npm:@ai-sdk/black-forest-labs@1.0.33 bfl-2@npm:@ai-sdk/black-forest-labs@2.0.41 ||
        echo "npm could not install them; their test will be skipped"
fi
