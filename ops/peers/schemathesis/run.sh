#!/bin/sh
# Holds a running agent against its own description: Schemathesis reads /openapi.json, makes up
# requests that fit it and requests that do not, and checks every answer. They are real requests:
# take an agent whose store may be thrown away.
#
#   ops/peers/schemathesis/run.sh http://127.0.0.1:8443 \
#       --header "Authorization: Bearer $(tail -1 http.tokens)"
#   ops/peers/schemathesis/run.sh https://agent.bank.example:8443 --tls-verify ca.pem \
#       --header "Authorization: Bearer $(tail -1 http.tokens)" --max-examples 500
#
# The first time, python3 makes a virtual environment in target/peers/schemathesis and pip installs
# what requirements.txt names. What follows the address is Schemathesis's own.
set -eu

if [ $# -lt 1 ]; then
    echo "found no address, expected that of a running agent, such as http://127.0.0.1:8443" >&2
    exit 64
fi
agent=${1%/}
shift

here=$(cd "$(dirname "$0")" && pwd)
place=$(cd "$here/../../.." && pwd)/target/peers/schemathesis
if ! cmp -s "$here/requirements.txt" "$place/requirements.txt"; then
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$place/requirements.txt"
fi

# It can make no NDJSON, and would call that an error of ours; the batch's lines are /v1/score's.
checks=not_a_server_error,status_code_conformance
checks=$checks,content_type_conformance,response_schema_conformance
cd "$place"
exec "$place/bin/schemathesis" run "$agent/openapi.json" \
    --checks "$checks" --exclude-path /v1/score/batch \
    --phases examples,coverage,fuzzing --max-examples 100 --generation-deterministic \
    --continue-on-failure "$@"
