#!/usr/bin/env bash
# What a path that changes costs on PostgreSQL, without a line of ours: `schemas.sh postgres://admin@host/scratch`.
# Makes 1,000 schemas `bench_t1` and so on where they are missing, and prints microseconds for ten prepared statements.
set -euo pipefail
url=$1
rounds=${2:-4}
requests=${3:-12000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

psql -q "$url" <<'SQL'
DO $$ BEGIN FOR i IN 1..1000 LOOP
  IF to_regclass(format('bench_t%s.item', i)) IS NULL THEN
    EXECUTE format('CREATE SCHEMA bench_t%1$s; CREATE TABLE bench_t%1$s.item (id serial PRIMARY KEY, tenant_id bigint NOT NULL, '
      'category_id int NOT NULL, name text NOT NULL, price int NOT NULL); INSERT INTO bench_t%1$s.item (tenant_id, category_id, '
      'name, price) SELECT %1$s, n, ''name '' || n, n FROM generate_series(1, 20) n; '
      'CREATE INDEX ON bench_t%1$s.item (tenant_id, category_id, id)', i);
  END IF;
  IF i % 100 = 0 THEN COMMIT; END IF;
END LOOP; END $$;
ANALYZE;
SQL

# script NAME PREPARE SUFFIX TENANT SWITCH: ten statements of three prepared texts.
script() {
  cat > "$1.sql" <<SQL
\\if :prepared
\\else
$2
\\set prepared 1
\\endif
\\set a random(1, 20)
\\set n $4
$5
$(for _ in 1 2 3 4 5 6; do echo "EXECUTE by_id$3(:a);"; done)
EXECUTE list$3(:a);
EXECUTE list$3(:a);
EXECUTE upd$3(:n, :a);
EXECUTE upd$3(:n, :a);
SQL
}

columns="id, tenant_id, category_id, name, price"
one="PREPARE by_id(int) AS SELECT $columns FROM item WHERE id = \$1;
PREPARE list(int) AS SELECT $columns FROM item WHERE category_id = \$1 ORDER BY id LIMIT 50;
PREPARE upd(int, int) AS UPDATE item SET price = \$1 WHERE id = \$2;
PREPARE path(text) AS SELECT set_config('search_path', \$1, false);"
all="DO \$\$ BEGIN FOR i IN 1..1000 LOOP
EXECUTE format('PREPARE by_id_%1\$s(int) AS SELECT $columns FROM bench_t%1\$s.item WHERE id = \$1', i);
EXECUTE format('PREPARE list_%1\$s(int) AS SELECT $columns FROM bench_t%1\$s.item WHERE category_id = \$1 ORDER BY id LIMIT 50', i);
EXECUTE format('PREPARE upd_%1\$s(int, int) AS UPDATE bench_t%1\$s.item SET price = \$1 WHERE id = \$2', i);
END LOOP; END \$\$;
\\set n 1"
script fixed "$one" "" "random(1, 1000)" ""
script same-path "$one" "" "random(1, 1000)" "EXECUTE path('bench_t1');"
script other-path "$one" "" "random(1, 1000)" "EXECUTE path('bench_t' || :n);"
script qualified-same "$all" "_:n" 1 ""
script qualified-other "$all" "_:n" "random(1, 1000)" ""

export PGOPTIONS="-c search_path=bench_t1"
ways="fixed same-path other-path qualified-same qualified-other"
for round in $(seq "$rounds"); do
  for way in $ways; do
    pgbench -n -c 1 -M simple -D prepared=0 -t "$requests" -l --log-prefix="log-$way-$round" -f "$way.sql" "$url" > /dev/null 2>&1
  done
done
# Each text is planned at its first five uses; the first two thirds serve each tenant often enough.
for way in $ways; do
  for log in log-"$way"-*; do tail -n "+$((requests * 2 / 3))" "$log"; done | awk '{ print $3 }' | sort -n |
    awk -v way="$way" '{ took[NR] = $1 } END { print way, "quartile", took[int(NR / 4)], "median", took[int(NR / 2)] }'
done
