#!/bin/sh
# What row-level security costs PostgreSQL itself, by the form of the policy: three statements with the filter by hand, run in
# a loop inside of the server, on a table without a policy and on tables with one. Medians of the rounds, in microseconds.
#
# Needs psql and the URL of a superuser, whose database gets the schemas policies_* and the role policies_app:
#
#   sh benches/pgbench/policies.sh postgres://postgres@localhost/postgres [ROUNDS]
set -eu
url=$1
rounds=${2:-15}
told="nullif(current_setting('tenancy.tenant_id', true), '')::bigint"

# A schema for each form: its name, and the policy's condition if there is a policy.
forms="none
select tenant_id = (SELECT $told)
bare tenant_id = $told"

each_form() {
    echo "$forms" | while read -r form condition; do "$1" "$form" "$condition"; done
}

tables() {
    schema=policies_$1
    echo "CREATE SCHEMA $schema; GRANT USAGE, CREATE ON SCHEMA $schema TO policies_app;
        CREATE TABLE $schema.item (id serial PRIMARY KEY, tenant_id bigint NOT NULL, category_id int NOT NULL,
            name text NOT NULL, price int NOT NULL);
        CREATE INDEX ON $schema.item (tenant_id, category_id, id);
        INSERT INTO $schema.item (tenant_id, category_id, name, price)
            SELECT CASE WHEN n % 10 = 0 THEN 8 ELSE 7 END, n % 20 + 1, 'name ' || n, n FROM generate_series(1, 4000) n;
        GRANT ALL ON $schema.item TO policies_app;"
    [ -z "$2" ] || echo "ALTER TABLE $schema.item ENABLE ROW LEVEL SECURITY;
        CREATE POLICY tenancy ON $schema.item USING ($2) WITH CHECK ($2);"
    loop "$schema" point_read "PERFORM * FROM $schema.item WHERE id = 1 + i % 20 AND tenant_id = t"
    loop "$schema" list_of_50 \
        "PERFORM * FROM $schema.item WHERE category_id = 1 + i % 20 AND tenant_id = t ORDER BY id LIMIT l"
    loop "$schema" update "UPDATE $schema.item SET price = i WHERE id = 1 + i % 20 AND tenant_id = t"
}

loop() {
    echo "CREATE FUNCTION $1.$2(n int) RETURNS float8 LANGUAGE plpgsql AS \$loop\$
        DECLARE begun timestamptz := clock_timestamp(); t bigint := 7; l bigint := 50;
        BEGIN FOR i IN 1..n LOOP $3; END LOOP; RETURN extract(epoch FROM clock_timestamp() - begun) * 1e6 / n; END \$loop\$;"
}

measured() {
    # Few updates at a time: each leaves a dead row behind.
    for statement in point_read:1000 list_of_50:300 update:50; do
        echo "SELECT '${statement%:*} $1', policies_$1.${statement%:*}(${statement#*:});"
    done
}

clean() {
    psql "$url" -qX -c "SET client_min_messages = warning" -c "DROP SCHEMA IF EXISTS policies_none, policies_select, policies_bare CASCADE" \
        -c "DROP ROLE IF EXISTS policies_app"
}

clean
{ echo "CREATE ROLE policies_app;"; each_form tables; echo "ANALYZE;"; } | psql "$url" -qX -v ON_ERROR_STOP=1
{
    echo "SET ROLE policies_app; SET tenancy.tenant_id = '7'; SET plan_cache_mode = force_generic_plan;"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        each_form measured
        round=$((round + 1))
    done
} | psql "$url" -qXAt -F ' ' -v ON_ERROR_STOP=1 | sort -k1,2 -k3,3n | awk '
    function tell() { if (count) printf "%-12s %-8s %8.1f\n", statement, form, at[int((count + 1) / 2)] }
    { if ($1 != statement || $2 != form) { tell(); statement = $1; form = $2; count = 0 } at[++count] = $3 }
    END { tell() }'
clean
