#!/usr/bin/env bash
# The benchmark gate without a hosted CI. `bench-gate.sh REVISION` also compares with that revision.
# Exits with 0 within the budgets, with 1 over one of them, and with 2 where it could not measure.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ $# -gt 0 ]; then
  cargo xtask bench-gate --base "$1"
else
  cargo xtask bench-gate
fi
