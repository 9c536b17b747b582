#!/bin/sh
# Installs clients of others, unmodified, which tests/contracts/test_clients.py points at a local service. Usage: install-clients.sh VENV
#
# blackforest asks for an old Pillow that it needs for nothing here, so those of Python come without what they depend on. Where there is no
# npm the clients of Node stay away, and their tests say so.
set -eu
python=$1/bin/python
folder=$1/clients

"$python" -c 'import blackforest' 2>/dev/null || "$python" -m pip install --quiet --no-deps blackforest==0.1.3
"$python" -m pip show --quiet black-forest-labs 2>/dev/null || "$python" -m pip install --quiet --no-deps black-forest-labs==1.0.0

if command -v npm >/dev/null 2>&1 && [ ! -d "$folder/node_modules/@ai-sdk/replicate" ]; then
    echo "installing Node clients for the tests"
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --no-package-lock --prefix "$folder" ai@6.0.326 zod@4.1.13 \
        bfl-1@npm:@ai-sdk/black-forest-labs@1.0.33 bfl-2@npm:@ai-sdk/black-forest-labs@2.0.41 \
        openai@6.49.0 replicate@1.4.0 @ai-sdk/openai@3.0.141 @ai-sdk/openai-compatible@2.0.92 @ai-sdk/replicate@2.0.57 ||
        echo "npm could not install them; their tests will be skipped"
fi
