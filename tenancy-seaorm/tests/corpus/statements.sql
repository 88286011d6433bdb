-- FLT-01 every table of a join carries its filter
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id
--#
-- FLT-01 three tables, and a junction between them (FLT-47)
SELECT o.id, t.name FROM orders o INNER JOIN order_tags ot ON ot.order_id = o.id INNER JOIN tags t ON t.id = ot.tag_id
--#
-- FLT-02 the nullable side keeps unmatched rows
SELECT c.id, c.name, o.id AS oid, o.note FROM customers c LEFT JOIN orders o ON o.customer_id = c.id
--#
-- FLT-02 an anti join
SELECT c.name FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE o.id IS NULL
--#
-- FLT-02 OR in ON
SELECT c.name, o.note FROM customers c LEFT OUTER JOIN orders o ON o.customer_id = c.id OR o.total = 30
--#
-- FLT-03 RIGHT JOIN
SELECT c.name, o.note FROM orders o RIGHT JOIN customers c ON o.customer_id = c.id
--#
-- FLT-03 RIGHT JOIN over an inner join
SELECT c.name, o.note, t.name AS tag FROM orders o JOIN order_tags ot ON ot.order_id = o.id RIGHT JOIN customers c ON o.customer_id = c.id LEFT JOIN tags t ON t.id = ot.tag_id
--#
-- FLT-03 FULL JOIN
SELECT c.name, o.note FROM orders o FULL JOIN customers c ON o.customer_id = c.id AND o.total > 10
--#
-- FLT-03 FULL OUTER JOIN with USING
SELECT id, o.note, t.name FROM orders o FULL OUTER JOIN tags t USING (id)
--#
-- FLT-03 comma join
SELECT o.note, c.name FROM orders o, customers c WHERE c.id = o.customer_id
--#
-- FLT-03 CROSS JOIN
SELECT o.note, t.name FROM orders o CROSS JOIN tags t
--#
-- FLT-03 LATERAL
-- only: postgres
SELECT c.name, x.note FROM customers c CROSS JOIN LATERAL (SELECT o.note FROM orders o WHERE o.customer_id = c.id ORDER BY o.total DESC LIMIT 1) x
--#
-- FLT-03 LEFT JOIN LATERAL
-- only: postgres
SELECT c.name, x.n FROM customers c LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer_id = c.id) x ON true
--#
-- FLT-04 NATURAL JOIN, over the tenant column too
SELECT name, order_id FROM tags NATURAL JOIN (SELECT tag_id AS id, order_id, tenant_id FROM order_tags) x
--#
-- FLT-04 NATURAL LEFT JOIN
SELECT * FROM customers NATURAL LEFT JOIN tags
--#
-- FLT-04 USING the tenant column
SELECT o.note, c.name FROM orders o JOIN customers c USING (tenant_id) WHERE c.id = o.customer_id
--#
-- FLT-04 LEFT JOIN with USING
SELECT id, o.note, t.name FROM orders o LEFT JOIN tags t USING (id)
--#
-- FLT-04 RIGHT JOIN with USING
SELECT id, o.note, t.name FROM orders o RIGHT JOIN tags t USING (id)
--#
-- FLT-05 self join and swapped aliases
SELECT customers.note, orders.name FROM orders AS customers JOIN customers AS orders ON orders.id = customers.customer_id
--#
-- FLT-05 self join
SELECT a.id, b.id AS other FROM orders a JOIN orders b ON a.customer_id = b.customer_id AND a.id < b.id
--#
-- FLT-06 an unqualified tenant column in a join stays the statement's own error
SELECT tenant_id FROM orders o JOIN customers c ON c.id = o.customer_id
--#
-- FLT-06 a column of the same name elsewhere
SELECT o.id, x.tenant_id FROM orders o JOIN (SELECT 99 AS tenant_id, 1 AS id) x ON x.id = o.id
--#
-- FLT-07 IN
SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 10)
--#
-- FLT-07 NOT IN
SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)
--#
-- FLT-07 EXISTS, correlated
SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.total > 15)
--#
-- FLT-07 NOT EXISTS
SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)
--#
-- FLT-07 ANY and ALL
-- only: postgres
SELECT name FROM customers WHERE id = ANY (SELECT customer_id FROM orders) AND id <= ALL (SELECT customer_id FROM orders)
--#
-- FLT-07 scalar in SELECT
SELECT c.name, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) AS n FROM customers c
--#
-- FLT-07 in ORDER BY and LIMIT
SELECT name FROM customers c ORDER BY (SELECT count(*) FROM orders o WHERE o.customer_id = c.id), name LIMIT (SELECT count(*) FROM tags)
--#
-- FLT-07 in HAVING and GROUP BY
SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id HAVING count(*) >= (SELECT count(*) FROM tags)
--#
-- FLT-07 in a join condition
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id AND c.id IN (SELECT id FROM tags)
--#
-- FLT-07 in CASE and in FILTER
SELECT count(*) FILTER (WHERE total > (SELECT min(total) FROM orders)) AS n, CASE WHEN EXISTS (SELECT 1 FROM tags WHERE id = 2) THEN 1 ELSE 0 END AS two FROM orders
--#
-- FLT-07 four deep
SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE id IN (SELECT order_id FROM order_tags WHERE tag_id IN (SELECT id FROM tags WHERE id >= (SELECT min(tags.id) FROM tags))))
--#
-- FLT-08 a window below a filter
SELECT * FROM (SELECT id, count(*) OVER () AS n FROM orders) x WHERE x.id = 1
--#
-- FLT-08 windows with partitions and names
SELECT id, sum(total) OVER w AS s, row_number() OVER (PARTITION BY customer_id ORDER BY total) AS r FROM orders WINDOW w AS (ORDER BY total)
--#
-- FLT-08 aggregates
SELECT count(*) AS n, min(note) AS a, max(note) AS b FROM orders
--#
-- FLT-08 grouping sets
-- only: postgres
SELECT customer_id, total, count(*) AS n FROM orders GROUP BY GROUPING SETS ((customer_id), (total), ())
--#
-- FLT-08 ROLLUP
-- only: postgres
SELECT customer_id, count(*) AS n FROM orders GROUP BY ROLLUP (customer_id)
--#
-- FLT-08 GROUP BY a primary key
-- only: postgres
SELECT o.note, count(*) AS n FROM orders o JOIN order_tags t ON t.order_id = o.id GROUP BY o.tenant_id, o.id
--#
-- FLT-09 a common table expression with the name of a table
-- only: postgres
WITH orders AS (SELECT * FROM orders WHERE total > 10) SELECT note FROM orders
--#
-- FLT-09 the same in SQLite is circular
-- only: sqlite
-- refused: construct_not_allowed
WITH orders AS (SELECT * FROM orders WHERE total > 10) SELECT note FROM orders
--#
-- FLT-09 earlier siblings are seen, later ones are not
-- only: postgres
WITH a AS (SELECT id FROM tags), tags AS (SELECT customer_id AS id FROM orders), b AS (SELECT id FROM tags) SELECT a.id, b.id AS other FROM a CROSS JOIN b
--#
-- FLT-09 a common table expression in a nested query
SELECT name FROM customers WHERE id IN (WITH big AS (SELECT customer_id FROM orders WHERE total > 10) SELECT customer_id FROM big)
--#
-- FLT-09 materialized and not
-- only: postgres
WITH a AS MATERIALIZED (SELECT id, customer_id FROM orders), b AS NOT MATERIALIZED (SELECT id FROM customers) SELECT a.id FROM a JOIN b ON b.id = a.customer_id
--#
-- FLT-09 recursive
WITH RECURSIVE chain AS (SELECT id, total FROM orders WHERE id = 1 UNION ALL SELECT o.id, o.total FROM orders o JOIN chain c ON o.id = c.id + 1) SELECT id, total FROM chain
--#
-- FLT-10 UNION, INTERSECT, EXCEPT
SELECT id FROM orders UNION SELECT id FROM customers
--#
-- FLT-10 UNION ALL
SELECT note FROM orders UNION ALL SELECT name FROM customers ORDER BY 1
--#
-- FLT-10 INTERSECT
SELECT id FROM orders INTERSECT SELECT id FROM tags
--#
-- FLT-10 EXCEPT
SELECT id FROM orders EXCEPT SELECT id FROM tags
--#
-- FLT-10 parenthesised branches
-- only: postgres
(SELECT id FROM orders ORDER BY total DESC LIMIT 1) UNION ALL ((SELECT id FROM customers) EXCEPT (SELECT id FROM tags))
--#
-- FLT-11 OR does not escape
SELECT note FROM orders WHERE id = 1 OR id = 3
--#
-- FLT-11 OR in every place
SELECT o.note FROM orders o JOIN customers c ON c.id = o.customer_id OR c.id = 3 WHERE o.total > 5 OR o.id = 3 OR true
--#
-- FLT-11 NOT, XOR by hand, precedence
SELECT note FROM orders WHERE NOT id = 1 AND total > 1 OR id = 1
--#
-- FLT-12 a comment at the end
SELECT note FROM orders WHERE id = 1 -- and nothing else
--#
-- FLT-12 nested comments and words in strings
SELECT note FROM orders /* WHERE */ WHERE note <> ' WHERE x = ''1'' -- ' /* AND true */ AND note <> 'FROM'
--#
-- FLT-12 dollar quotes
-- only: postgres
SELECT note FROM orders WHERE note <> $q$ ' OR 1=1 -- $q$
--#
-- FLT-12 escape strings
-- only: postgres
SELECT note FROM orders WHERE note <> E'\' OR true --'
--#
-- FLT-13 two statements
-- refused: unparsable
SELECT 1; DELETE FROM tags
--#
-- FLT-14 UPDATE without WHERE
UPDATE tags SET name = 'changed'
--#
-- FLT-14 DELETE without WHERE
DELETE FROM order_tags
--#
-- FLT-14 with an alias and RETURNING
UPDATE orders AS o SET total = o.total + 1 WHERE o.id IN (1, 3) RETURNING o.id, o.total
--#
-- FLT-14 OR in a write
DELETE FROM order_tags WHERE order_id = 1 OR tag_id = 2
--#
-- FLT-15 UPDATE FROM
UPDATE orders SET note = c.name FROM customers c WHERE c.id = orders.customer_id
--#
-- FLT-15 UPDATE FROM that joins on nothing
UPDATE orders SET note = t.name FROM tags t WHERE t.id = 2
--#
-- FLT-15 UPDATE FROM a join
UPDATE orders SET note = t.name FROM order_tags ot LEFT JOIN tags t ON t.id = ot.tag_id WHERE ot.order_id = orders.id
--#
-- FLT-15 DELETE USING
-- only: postgres
DELETE FROM order_tags USING tags WHERE tags.id = 2
--#
-- FLT-15 DELETE with a nested query
DELETE FROM order_tags WHERE tag_id IN (SELECT id FROM tags WHERE name LIKE '%red')
--#
-- FLT-15 SET from a query
UPDATE orders SET total = (SELECT count(*) FROM customers), note = (SELECT max(tags.name) FROM tags)
--#
-- FLT-16 the tenant column is not changed
-- refused: tenant_column
UPDATE orders SET tenant_id = 2
--#
-- FLT-16 nor in a list
-- only: postgres
-- refused: tenant_column
UPDATE orders SET (total, tenant_id) = (1, 2)
--#
-- FLT-16 nor by another spelling
-- refused: tenant_column
UPDATE orders SET "tenant_id" = tenant_id
--#
-- FLT-17 no tenant column
INSERT INTO tags (id, name) VALUES (50, 'x'), (51, 'y')
--#
-- FLT-17 a literal tenant
-- refused: foreign_tenant
INSERT INTO tags (tenant_id, id, name) VALUES (2, 50, 'x')
--#
-- FLT-17 one foreign row among others
-- refused: foreign_tenant
INSERT INTO tags (id, tenant_id, name) VALUES (50, NULL, 'x'), (51, 2, 'y')
--#
-- FLT-17 no list of columns
-- refused: construct_not_allowed
INSERT INTO tags VALUES (1, 50, 'x')
--#
-- FLT-17 RETURNING
INSERT INTO tags (id, name) VALUES (52, 'z') RETURNING id, tenant_id
--#
-- FLT-18 INSERT from a query
INSERT INTO tags (id, name) SELECT id + 100, name FROM customers
--#
-- FLT-18 INSERT from set operations
INSERT INTO tags (id, name) SELECT id + 100, name FROM customers UNION SELECT id + 200, note FROM orders WHERE total > 5
--#
-- FLT-18 INSERT from a query with WITH and ORDER BY
INSERT INTO tags (id, name) WITH x AS (SELECT id, note FROM orders) SELECT id + 300, note FROM x ORDER BY id LIMIT 1
--#
-- FLT-18 a query for a value
INSERT INTO tags (id, name) VALUES ((SELECT max(id) + 10 FROM tags), (SELECT max(name) FROM customers))
--#
-- FLT-18 a query that names the tenant
-- refused: foreign_tenant
INSERT INTO tags (tenant_id, id, name) SELECT tenant_id, id + 100, name FROM customers
--#
-- FLT-19 upsert that updates
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name
--#
-- FLT-19 upsert with a condition
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE tags.name <> 'a-red' OR excluded.id = 1
--#
-- FLT-19 upsert that does nothing
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) DO NOTHING
--#
-- FLT-19 upsert with an alias
-- only: postgres
INSERT INTO tags AS t (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) DO NOTHING
--#
-- FLT-19 upsert that names the tenant column
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT (tenant_id, id) DO UPDATE SET name = 'conflict'
--#
-- FLT-19 upsert without a target
-- refused: conflict_target
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT DO NOTHING
--#
-- FLT-19 upsert on an expression
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT ((id + 0)) DO UPDATE SET name = excluded.name RETURNING id, name
--#
-- FLT-19 upsert on an expression that does nothing
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new'), (3, 'new') ON CONFLICT ((id + 0)) DO NOTHING
--#
-- FLT-19 upsert on an expression, with the tenant column
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT ((id + 0), tenant_id) DO UPDATE SET name = 'conflict'
--#
-- FLT-19 upsert on a partial key
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) WHERE name <> '' DO UPDATE SET name = excluded.name
--#
-- FLT-19 upsert on a partial key, with a condition of its own
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) WHERE name <> '' DO UPDATE SET name = excluded.name WHERE tags.name <> 'a-red' OR excluded.id = 1 OR true
--#
-- FLT-19 upsert on a partial key that does nothing
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new'), (3, 'new') ON CONFLICT (id) WHERE name <> '' DO NOTHING
--#
-- FLT-19 upsert from a query on an expression
-- not: mariadb
INSERT INTO tags (id, name) SELECT id, name FROM customers WHERE true ON CONFLICT ((id + 0)) DO UPDATE SET name = excluded.name RETURNING id, name
--#
-- FLT-19 upsert on an expression in a common table expression
-- only: postgres
WITH w AS (INSERT INTO tags (id, name) VALUES (1, 'new'), (2, 'new') ON CONFLICT ((id + 0)) DO UPDATE SET name = (SELECT max(note) FROM orders) RETURNING id, name) SELECT w.id, w.name, t.name AS before FROM w LEFT JOIN tags t ON t.id = w.id
--#
-- FLT-19 upsert on an expression that no key has
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT (lower(name)) DO NOTHING
--#
-- FLT-19 upsert on the tenant column inside of an expression
-- not: mariadb
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT ((tenant_id + id)) DO NOTHING
--#
-- FLT-19 upsert on a query
-- not: mariadb
-- refused: conflict_target
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT ((SELECT id FROM tags LIMIT 1)) DO NOTHING
--#
-- FLT-19 upsert on a key under a condition that reads a table
-- not: mariadb
-- refused: conflict_target
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT (id) WHERE EXISTS (SELECT 1 FROM orders WHERE total > 20) DO NOTHING
--#
-- FLT-19 upsert on an expression that calls what is not allowed
-- only: postgres
-- refused: function_not_allowed
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT ((current_setting('x'))) DO NOTHING
--#
-- FLT-19 upsert that moves a row, on an expression
-- not: mariadb
-- refused: tenant_column
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT ((id + 0)) DO UPDATE SET tenant_id = 2
--#
-- FLT-19 upsert that moves a row
-- refused: tenant_column
INSERT INTO tags (id, name) VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET tenant_id = 2
--#
-- FLT-19 REPLACE
-- only: sqlite
-- refused: conflict_target
INSERT OR REPLACE INTO tags (id, name) VALUES (1, 'new')
--#
-- FLT-21 a parent of another tenant
INSERT INTO orders (id, customer_id, total) VALUES (90, 3, 1)
--#
-- FLT-22 TRUNCATE
-- refused: statement_not_allowed
TRUNCATE orders
--#
-- FLT-22 DDL
-- refused: statement_not_allowed
DROP TABLE orders
--#
-- FLT-22 COPY
-- only: postgres
-- refused: statement_not_allowed
COPY orders TO STDOUT
--#
-- FLT-22 EXPLAIN (FLT-36)
-- refused: statement_not_allowed
EXPLAIN SELECT * FROM orders
--#
-- FLT-22 transaction control
-- refused: statement_not_allowed
COMMIT
--#
-- FLT-22 SET (FLT-45)
-- only: postgres
-- refused: statement_not_allowed
SET ROLE postgres
--#
-- FLT-22 DO
-- only: postgres
-- refused: unparsable
DO $$ BEGIN DELETE FROM orders; END $$
--#
-- FLT-22 PRAGMA
-- only: sqlite
-- refused: unparsable
PRAGMA table_info(orders)
--#
-- FLT-23 what the parser does not know
-- refused: unparsable
SELEC note FROM orders
--#
-- FLT-30 spellings
SELECT note FROM "orders" WHERE ORDERS.ID = 1
--#
-- FLT-30 the default schema
-- only: postgres
SELECT note FROM public.orders WHERE orders.id = 1
--#
-- FLT-30 the default schema of SQLite
-- only: sqlite
SELECT note FROM main.orders WHERE orders.id = 1
--#
-- FLT-30 another spelling is another table
-- only: postgres
-- refused: unknown_table
SELECT * FROM "Orders"
--#
-- FLT-30 another schema
-- refused: unknown_table
SELECT * FROM other.orders
--#
-- FLT-30 ONLY
-- only: postgres
-- refused: construct_not_allowed
SELECT * FROM ONLY orders
--#
-- FLT-31 an undeclared view
-- refused: unknown_table
SELECT * FROM all_orders
--#
-- FLT-32 a function that reads tables
-- only: postgres
-- refused: function_not_allowed
SELECT query_to_xml('SELECT * FROM orders', true, true, '')
--#
-- FLT-32 a function in FROM
-- only: postgres
-- refused: function_not_allowed
SELECT * FROM dblink('x', 'select 1') AS t(a int)
--#
-- FLT-32 functions of the built-in list
SELECT upper(note) AS n, length(note) AS l, coalesce(note, 'none') AS c FROM orders WHERE lower(note) LIKE '%o%'
--#
-- FLT-33 a regular expression over rows
-- only: postgres
SELECT note FROM orders WHERE 'a' ~ code
--#
-- FLT-33 a predicate pushed into a nested query
-- only: postgres
SELECT x.note FROM (SELECT note, code FROM orders) x WHERE 'a' ~ x.code
--#
-- FLT-33 a predicate over a join whose alias hides the tables, the nullable one too
-- only: postgres
SELECT x.note FROM (tags t LEFT JOIN orders o ON o.id = t.id) AS x WHERE 'a' ~ x.code
--#
-- FLT-33 the same where both sides are nullable
-- only: postgres
SELECT x.note FROM (tags t FULL JOIN orders o ON o.id = t.id) AS x WHERE 'a' ~ x.code
--#
-- FLT-33 division
-- only: postgres
SELECT note FROM orders WHERE 100 / (total - 30) > 1
--#
-- FLT-33 beside a plain predicate, and BETWEEN
-- only: postgres
SELECT note FROM orders WHERE total BETWEEN 1 AND 50 AND code::int > 1 AND id = 1
--#
-- FLT-33 under OR
-- only: postgres
SELECT note FROM orders WHERE id = 1 OR code::int > 5
--#
-- FLT-33 in a write
-- only: postgres
UPDATE orders SET total = 5 WHERE code::int = 5
--#
-- FLT-34 a cast in a join
-- only: postgres
SELECT o.note, t.name FROM orders o JOIN tags t ON o.code::int = t.id
--#
-- FLT-34 a cast on either side of an equation between tables
-- only: postgres
SELECT o.note, t.name, c.name AS who FROM orders o JOIN tags t ON t.id = o.code::int JOIN customers c ON "o".code::int = c.id AND c.id = t.id
--#
-- FLT-34 two tables whose names differ by case alone
-- only: postgres
SELECT o.note FROM tags "O" JOIN orders o ON "O".id = o.code::int
--#
-- FLT-34 a cast in an outer join
-- only: postgres
SELECT t.name, o.note FROM tags t LEFT JOIN orders o ON o.code::int = t.id + 4 WHERE o.code::int IS NULL OR t.id = 1
--#
-- FLT-34 a cast in a nested query's column
-- only: postgres
SELECT x.c FROM (SELECT code::int AS c FROM orders) x WHERE x.c > 1
--#
-- FLT-33 over a join with a name of its own, which hides its tables
-- only: postgres
SELECT x.note FROM (orders o JOIN customers c ON c.id = o.customer_id) AS x WHERE x.code::int > 1
--#
-- FLT-33 over such a join inside of another, and beside a third table
-- only: postgres
SELECT y.note, t.name FROM ((orders o LEFT JOIN order_tags ot ON ot.order_id = o.id) AS x JOIN customers c ON c.id = x.customer_id) AS y JOIN tags t ON y.code::int >= t.id
--#
-- FLT-33 over renamed columns
-- only: postgres
SELECT x.one FROM orders AS x(one) WHERE x.code::int > 1
--#
-- FLT-05 two tables of one name, one of them inside of a join with a name of its own
-- only: postgres
SELECT x.name, tags.name AS own FROM (tags JOIN order_tags ot ON ot.tag_id = tags.id) AS x JOIN tags ON tags.id = x.order_id
--#
-- FLT-09 a common table expression does not hide what is written
-- only: postgres
WITH tags AS (SELECT id + 60 AS id, name FROM tags) INSERT INTO tags (id, name) SELECT id, name FROM tags
--#
-- FLT-09 nor in an update that reads from it
-- only: postgres
WITH tags AS (SELECT id, name FROM tags WHERE id = 2) UPDATE tags SET name = t.name || '!' FROM tags AS t WHERE t.id = tags.id
--#
-- FLT-09 nor in a delete
-- only: postgres
WITH order_tags AS (SELECT tag_id FROM order_tags) DELETE FROM order_tags USING order_tags AS o WHERE o.tag_id = order_tags.tag_id
--#
-- FLT-09 elsewhere that is not certain
-- only: sqlite
-- refused: construct_not_allowed
WITH tags AS (SELECT 1 AS id) DELETE FROM tags WHERE id = 1
--#
-- FLT-33 in a nested query that reads no tenant's table: it is merged into the query around it
-- only: postgres
SELECT o.note FROM orders o WHERE EXISTS (SELECT 1 FROM countries c WHERE 'a' ~ o.code)
--#
-- FLT-33 the same without qualified names, and two queries further in
-- only: postgres
SELECT o.note FROM orders o WHERE EXISTS (SELECT 1 FROM countries c WHERE EXISTS (SELECT 1 FROM countries d WHERE 'a' ~ code))
--#
-- FLT-33 the same in a write
-- only: postgres
UPDATE orders SET total = 5 WHERE EXISTS (SELECT 1 FROM countries c WHERE 'a' ~ orders.code)
--#
-- FLT-33 the same in a join's condition
-- only: postgres
SELECT o.note, t.name FROM tags t LEFT JOIN orders o ON EXISTS (SELECT 1 FROM countries c WHERE 'a' ~ o.code)
--#
-- FLT-33 the same beside, in a query that sees its neighbours
-- only: postgres
SELECT o.note FROM orders o CROSS JOIN LATERAL (SELECT 1 AS one FROM countries c WHERE 'a' ~ o.code) x
--#
-- FLT-33 a column of such a query
-- only: postgres
SELECT o.note FROM orders o CROSS JOIN LATERAL (SELECT 'a' ~ o.code AS hit) x WHERE x.hit
--#
-- FLT-33 a row of VALUES that sees its neighbours
-- only: postgres
SELECT o.note FROM orders o CROSS JOIN LATERAL (VALUES ('a' ~ o.code)) x(hit) WHERE x.hit
--#
-- FLT-33 such a row one query deeper
-- only: postgres
SELECT o.note FROM orders o, LATERAL (SELECT * FROM (VALUES ('a' ~ o.code)) v(hit)) x WHERE x.hit
--#
-- FLT-33 such a row in a condition
-- only: postgres
SELECT o.note FROM orders o WHERE true IN (VALUES ('a' ~ o.code))
--#
-- FLT-34 a length that decodes
-- only: postgres
SELECT o.note FROM orders o WHERE length(o.code::bytea, 'UTF8') > 0
--#
-- FLT-34 a cast in a common table expression
-- only: postgres
WITH x AS (SELECT code::int AS c FROM orders) SELECT c FROM x WHERE c > 1
--#
-- FLT-36 catalogs
-- refused: unknown_table
SELECT * FROM pg_stats
--#
-- FLT-36 catalogs by their schema
-- refused: unknown_table
SELECT * FROM information_schema.tables
--#
-- FLT-36 SQLite's catalog
-- refused: unknown_table
SELECT * FROM sqlite_master
--#
-- FLT-41 a soft-deleted or polymorphic row is like any other
SELECT id FROM orders WHERE note IS NOT NULL AND (note = 'a-one' OR note IS NULL)
--#
-- FLT-45 settings from a query
-- only: postgres
-- refused: function_not_allowed
SELECT set_config('app.tenant_id', '2', false)
--#
-- FLT-45 reading settings
-- only: postgres
-- refused: function_not_allowed
SELECT current_setting('tenancy.tenant_id')
--#
-- a join in parentheses
SELECT o.note, t.name FROM orders o LEFT JOIN (order_tags ot JOIN tags t ON t.id = ot.tag_id) ON ot.order_id = o.id
--#
-- an aliased join hides its tables
-- only: postgres
SELECT j.note FROM (orders o JOIN customers c ON c.id = o.customer_id) AS j
--#
-- renamed columns: the second one is called like the tenant column
-- only: postgres
SELECT o.a, o.b FROM orders AS o(a, tenant_id, b)
--#
-- DISTINCT ON and IS DISTINCT FROM
-- only: postgres
SELECT DISTINCT ON (customer_id) customer_id, id FROM orders WHERE note IS DISTINCT FROM 'x' ORDER BY customer_id, id
--#
-- locking
-- only: postgres
SELECT id FROM orders WHERE total > 5 ORDER BY id FOR UPDATE SKIP LOCKED
--#
-- paging
SELECT id FROM orders ORDER BY id LIMIT 1 OFFSET 1
--#
-- a global table joins
SELECT o.note, k.name FROM orders o CROSS JOIN countries k WHERE k.code = 'at'
--#
-- a global table is not written
-- refused: read_only_table
UPDATE countries SET name = 'x'
--#
-- a write in a common table expression
-- only: postgres
WITH gone AS (DELETE FROM order_tags RETURNING order_id, tag_id) INSERT INTO tags (id, name) SELECT 500 + order_id * 10 + tag_id, 'moved' FROM gone
--#
-- an update in a common table expression
-- only: postgres
WITH up AS (UPDATE orders SET total = total + 1 RETURNING id, total) SELECT id, total FROM up
--#
-- a query in RETURNING
UPDATE tags SET name = 'x' WHERE id = 1 RETURNING id, (SELECT count(*) FROM orders) AS n, (SELECT max(customers.name) FROM customers) AS m
--#
-- a query in RETURNING of an insert
-- only: postgres
INSERT INTO tags (id, name) VALUES (77, 'x') RETURNING (SELECT count(*) FROM order_tags) AS n
--#
-- table functions
-- only: postgres
SELECT g.i, o.note FROM generate_series(1, 3) AS g(i) LEFT JOIN orders o ON o.id = g.i
--#
-- VALUES as a table
-- only: postgres
SELECT o.note FROM orders o JOIN (VALUES (1), (3)) AS v(id) ON v.id = o.id
--#
-- VALUES as a table, in SQLite's spelling
-- only: sqlite
SELECT o.note FROM orders o WHERE o.id IN (VALUES (1), (3))
--#
-- MERGE
-- refused: statement_not_allowed
MERGE INTO tags t USING customers c ON t.id = c.id WHEN MATCHED THEN DELETE
--#
-- SELECT INTO
-- only: postgres
-- refused: construct_not_allowed
SELECT * INTO copy FROM orders
--#
-- FLT-30 ONLY, which a common table expression's name must not pass for
-- only: postgres
-- refused: construct_not_allowed
WITH "only" AS (SELECT 1) SELECT * FROM ONLY orders
--#
-- FLT-30 ONLY of a table that nobody declared
-- only: postgres
-- refused: construct_not_allowed
WITH "only" AS (SELECT 1) SELECT rolname FROM only pg_authid
--#
-- FLT-30 GLOBAL, which the parser passes over and PostgreSQL takes for an alias
-- only: postgres
-- refused: construct_not_allowed
SELECT (SELECT string_agg(global.note, ',') FROM orders global) FROM orders LIMIT 1
--#
-- FLT-30 the same of a function in FROM
-- only: postgres
-- refused: construct_not_allowed
SELECT global.ts_stat FROM unnest(ARRAY['SELECT to_tsvector(note) FROM orders']) global
--#
-- FLT-30 an alias of that name
-- only: postgres
SELECT "global".note, g.note AS other FROM orders AS "global" JOIN orders AS g ON g.id = "global".id
--#
-- FLT-30 ONLY beside the target of a write
-- only: postgres
-- refused: construct_not_allowed
WITH "only" AS (SELECT 1) DELETE FROM tags USING ONLY customers WHERE customers.name = 'b-ann'
--#
-- FLT-32 a function that is called as a field
-- only: postgres
-- refused: construct_not_allowed
SELECT ('SELECT to_tsvector(note) FROM orders'::text).ts_stat
--#
-- FLT-32 the same of an element
-- only: postgres
-- refused: construct_not_allowed
SELECT (ARRAY['server_version'::text])[1].current_setting
--#
-- FLT-32 a function that is called as a column of what a function gives
-- only: postgres
-- refused: construct_not_allowed
SELECT u.ts_stat FROM unnest(ARRAY['SELECT to_tsvector(note) FROM orders']) u
--#
-- FLT-32 the same, where another function of that name has such a column
-- only: postgres
-- refused: construct_not_allowed
SELECT (SELECT u.ts_stat FROM unnest(ARRAY['SELECT to_tsvector(note) FROM orders']) u) FROM unnest(ARRAY[1]) u(ts_stat)
--#
-- FLT-32 the same under its own name, where the columns have others
-- only: postgres
-- refused: construct_not_allowed
SELECT ts_stat.ts_stat FROM unnest(ARRAY['SELECT to_tsvector(note) FROM orders']) AS ts_stat(b)
--#
-- FLT-32 the same where the function names its column
-- only: postgres
-- refused: construct_not_allowed
SELECT ts_stat.ts_stat FROM jsonb_array_elements_text('["SELECT to_tsvector(note) FROM orders"]') AS ts_stat
--#
-- FLT-32 a function that is none of PostgreSQL's
-- only: postgres
-- refused: function_not_allowed
SELECT total() FROM orders
--#
-- where a row lies tells of the rows before it
-- only: postgres
-- refused: construct_not_allowed
SELECT o.ctid FROM orders o
--#
-- FLT-32 the same without an alias
-- only: postgres
-- refused: construct_not_allowed
SELECT string_to_table.pg_relation_size FROM string_to_table('orders', ',')
--#
-- FLT-32 columns that a function in FROM has
-- only: postgres
SELECT g.i, g.ordinality, e.key, e.value, n FROM unnest(ARRAY['x', 'y']) WITH ORDINALITY AS g(i, ordinality), jsonb_each('{"a": 1}') e, generate_series(1, 2) n WHERE n.n > 1
--#
-- FLT-18 excluded is nothing outside of an upsert
-- only: postgres
-- refused: tenant_column
WITH excluded AS (SELECT 2 AS tenant_id) UPDATE tags SET tenant_id = excluded.tenant_id, id = 4242 FROM excluded WHERE tags.id = 1
--#
-- FLT-04 a relation that has the name of an owned table, in front of USING
-- refused: construct_not_allowed
SELECT note FROM (SELECT 2 AS tenant_id) AS z, (SELECT 1 AS tenant_id) AS orders JOIN orders USING (tenant_id)
--#
-- FLT-04 the same by a common table expression
-- refused: construct_not_allowed
WITH z AS (SELECT 2 AS tenant_id), a AS (SELECT 1 AS tenant_id) SELECT note FROM z, a AS orders NATURAL JOIN orders
--#
-- FLT-04 the same in parentheses
-- refused: construct_not_allowed
SELECT note FROM (SELECT 1 AS tenant_id) AS z JOIN ((SELECT 1 AS tenant_id) AS orders JOIN orders ON 1 = 1) USING (tenant_id)
--#
-- FLT-04 the same under an alias
-- refused: construct_not_allowed
SELECT a.note FROM ((SELECT 1 AS tenant_id) AS orders JOIN orders USING (tenant_id)) AS a
--#
-- FLT-04 the same outside of an alias, which hides nothing in SQLite
-- only: sqlite
-- refused: construct_not_allowed
SELECT a.note FROM (orders JOIN countries ON 1 = 1) AS a JOIN orders ON orders.id = a.id
--#
-- FLT-04 the same where the alias hides it
-- only: postgres
SELECT a.note, orders.id FROM (orders JOIN countries ON true) AS a(id, tenant_id, note) JOIN orders ON orders.id = a.id
--#
-- FLT-15 the source of a write that has its target's name
-- not: mariadb
-- refused: construct_not_allowed
UPDATE orders SET note = 'x' FROM (SELECT 1 AS tenant_id) AS orders WHERE orders.id = 1
--#
-- FLT-04 an alias with a dot, at which SQLite takes names apart
-- only: sqlite
-- refused: construct_not_allowed
SELECT (SELECT group_concat(a."b.note") FROM countries c, (orders AS "a.b" JOIN countries i ON 1)) FROM customers AS "a.b"
--#
-- FLT-03 a comma beside RIGHT JOIN, which SQLite reads in another order
-- only: sqlite
-- refused: construct_not_allowed
SELECT * FROM orders, countries RIGHT JOIN tags ON orders.id = tags.id
--#
-- FLT-29 a named parameter
-- only: sqlite
-- refused: construct_not_allowed
SELECT id FROM orders WHERE :a = id
--#
-- FLT-33 a constant that fails, where the row says so
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND CASE WHEN note LIKE 'b-%' THEN json('bad') ELSE 1 END = 1
--#
-- FLT-33 the same behind OR
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND (note NOT LIKE 'b-%' OR json('bad') IS NULL)
--#
-- FLT-33 the same in a function that evaluates one of two
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND coalesce(nullif(note LIKE 'b-%', 1), json('bad')) = 1
--#
-- FLT-33 a fence, whose column SQLite knows to equal the value
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND json_extract('{}', note) IS NULL
--#
-- FLT-33 the same beside RIGHT JOIN, where SQLite does not ask the filter first
-- only: sqlite
SELECT o.id FROM customers c RIGHT JOIN orders o ON c.id > 0 WHERE CASE WHEN o.note LIKE 'b-%' THEN json('bad') ELSE 1 END = 1
--#
-- FLT-33 the same of the other side
-- only: sqlite
SELECT o.id, c.id FROM orders o RIGHT JOIN customers c ON o.id > 0 WHERE CASE WHEN o.note LIKE 'b-%' THEN json('bad') ELSE 1 END = 1
--#
-- FLT-33 the escape of a pattern
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND note LIKE 'a' ESCAPE CASE WHEN note LIKE 'b-%' THEN 'xx' ELSE 'x' END
--#
-- FLT-33 a pattern that a row makes too long
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND 'x' GLOB CASE WHEN note LIKE 'b-%' THEN printf('%.60000c', 'x') ELSE '*' END
--#
-- FLT-33 a function in FROM that is given rows, before the filter of an outer join
-- only: sqlite
-- refused: construct_not_allowed
SELECT c.id FROM orders o JOIN json_each('[1]', o.note) j RIGHT JOIN customers c ON c.id = o.id
--#
-- FLT-33 the same in a nested query
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND id IN (SELECT value FROM json_each('[1]', orders.note))
--#
-- FLT-33 HAVING of a nested query that sees the row
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND id IN (SELECT count(*) FROM countries HAVING json_extract('[1]', orders.note) = 1)
--#
-- FLT-33 a window of a nested query that sees the row
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND id IN (SELECT sum(1) OVER (ORDER BY json_extract('[1]', orders.note)) FROM countries)
--#
-- FLT-33 rows of other columns, compared where the row says so
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code LIKE 'SECRET-%' AND o = (2::bigint, 6)
--#
-- FLT-33 the same in an array
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code LIKE 'SECRET-%' AND o = ANY (ARRAY[(2::bigint, 6)])
--#
-- FLT-33 HAVING, of which a part is moved before the groups
-- only: postgres
-- fenced, in shared tables
-- refused: leaky_predicate
SELECT code, count(*) AS n FROM orders GROUP BY code HAVING (count(*) > 0 AND NOT ('x' ~ code OR count(*) > 9))
--#
-- FLT-33 the same in a column of a nested query
-- only: postgres
SELECT s.code FROM (SELECT count(*) > 0 AND 1 / (total - 30) IS NOT NULL AS ok, code FROM orders GROUP BY total, code) s WHERE s.ok
--#
-- FLT-33 a nested query that is run when the first row comes to it
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders WHERE code LIKE 'SECRET-%' AND total = (SELECT max(1 / x.x) FROM generate_series(0, 0) x)
--#
-- FLT-33 the same on a tenant's own table
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders WHERE code LIKE 'SECRET-%' AND total = (SELECT count(*) FROM customers WHERE 1 / (customers.id - 1) > 0)
--#
-- FLT-33 the same in an array
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders WHERE code LIKE 'SECRET-%' AND id = ANY (ARRAY(SELECT 1 / x.x FROM generate_series(0, 0) x))
--#
-- FLT-33 an aggregate that belongs to the query around it
-- only: mariadb
-- refused: construct_not_allowed
SELECT (SELECT concat(count(o.id), '-', o.note)) AS x FROM orders o
--#
-- FLT-33 HAVING that MariaDB moves into WHERE
-- only: mariadb
-- refused: leaky_predicate
SELECT total, count(*) AS n FROM orders GROUP BY total HAVING (count(*) > 0 AND exp(total) > 5)
--#
-- FLT-33 the same by the name of a column
-- only: mariadb
-- refused: leaky_predicate
SELECT total, exp(total) AS e, count(*) AS n FROM orders GROUP BY total HAVING e > 5
--#
-- FLT-33 a fence beside what the tenant column equals
-- only: mariadb
-- refused: leaky_predicate
SELECT id FROM orders WHERE exp(total) > 1 AND tenant_id = 1
--#
-- FLT-33 a constant that is evaluated where a row comes to it
-- only: mariadb
SELECT id FROM orders WHERE note LIKE 'b-%' AND id IN (1, exp(1000))
--#
-- FLT-33 a function that gives another value each time
-- only: mariadb
DELETE FROM orders WHERE note LIKE 'b-%' AND exp(rand() + 1000) > 0
--#
-- FLT-33 a conversion, in the strict mode of writes
-- only: mariadb
UPDATE orders SET total = 1 WHERE note LIKE 'b-%' AND code = 5
--#
-- FLT-33 a nested query over the row and a table of its own
-- only: mariadb
SELECT id FROM orders WHERE note LIKE 'b-%' AND EXISTS (SELECT 1 FROM tags t WHERE exp(orders.id + 1000) > 1)
--#
-- FLT-33 a function that gives another value each time, on SQLite
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND note LIKE 'b-%' AND abs(random() * 0 - 9223372036854775807 - 1) > 0
--#
-- FLT-33 a constant that fails, compared with the row
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND note LIKE 'b-%' AND json('{') > id
--#
-- FLT-33 a nested query that fails on the tenant's own rows, evaluated where a row comes to it
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND note LIKE 'b-%' AND id IN (SELECT json(name) FROM customers)
--#
-- FLT-33 the name of a column that fails, in a condition
-- only: sqlite
SELECT json(note || '{') AS x FROM orders WHERE note > 'b-' AND x = 1
--#
-- FLT-33 a nested query that fails, evaluated where the row says so
-- only: postgres
-- fenced, in shared tables
SELECT count(*) AS n FROM orders WHERE CASE WHEN code = 'SECRET-3' THEN (SELECT bool_or(1/x = 1) FROM generate_series(0, 0) x) END
--#
-- FLT-33 the same in EXISTS
-- only: postgres
-- fenced, in shared tables
SELECT count(*) AS n FROM orders WHERE CASE WHEN code = 'SECRET-3' THEN EXISTS (SELECT 1 FROM generate_series(0, 0) x WHERE 1/x = 1) END
--#
-- FLT-33 a nested query behind OR
-- only: postgres
SELECT count(*) AS n FROM orders WHERE code LIKE 'SECRET-%' AND (note IS NULL OR id IN (SELECT 1/x FROM generate_series(0, 0) x))
--#
-- FLT-33 a stable function of constants behind OR
-- only: postgres
SELECT count(*) AS n FROM orders WHERE code IS NULL OR to_date('zz', 'YYYY-MM-DD') IS NULL
--#
-- FLT-33 an aggregate of a nested query makes none of the one around it
-- only: postgres
-- fenced, in shared tables
-- refused: leaky_predicate
SELECT code FROM orders GROUP BY code HAVING (SELECT max(name) FROM countries) ~ code
--#
-- FLT-33 the same in a column
-- only: postgres
SELECT id FROM (SELECT id, (SELECT max(name) FROM countries) ~ code AS x FROM orders) q WHERE q.x
--#
-- FLT-33 a common table expression inside of one of its name, which has a limit
-- only: postgres
WITH q AS (SELECT code FROM countries LIMIT 5) SELECT * FROM (WITH q AS (SELECT code FROM orders) SELECT * FROM q WHERE 'a' ~ q.code) z
--#
-- FLT-33 a table with its schema that has the name of another one
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM countries AS orders WHERE 'x' ~ public.orders.code)
--#
-- FLT-33 a condition in FROM that comes before the table of that name
-- only: postgres
SELECT count(*) AS n FROM orders o CROSS JOIN LATERAL (SELECT 1 FROM countries a JOIN countries b ON 'x' ~ o.code JOIN countries o ON true) l
--#
-- FLT-32 a function that is called as a column, with a subscript
-- only: postgres
-- refused: construct_not_allowed
SELECT u.ts_stat[1] FROM unnest(ARRAY['SELECT to_tsvector(note) FROM orders']) u
--#
-- subscripts of columns
-- only: postgres
SELECT o.id, (ARRAY[o.id, 7])[2] AS n, x.a[1] AS b FROM orders o CROSS JOIN LATERAL (SELECT ARRAY[o.total] AS a) x
--#
-- FLT-06 a column called as, in front of UNION
-- only: postgres
SELECT (SELECT count(*) FROM (SELECT o.note FROM orders o JOIN (SELECT true AS as) d ON d.as UNION ALL SELECT 'z') x) AS n FROM orders o
--#
-- FLT-05 a byte order mark, which SQLite passes over, in front of a name
-- only: sqlite
-- refused: unparsable
UPDATE tags SET ﻿tenant_id = 2 WHERE id = 1
--#
-- FLT-05 the same in front of a table's name
-- only: sqlite
-- refused: unparsable
WITH "﻿orders" AS (SELECT 1 AS x) SELECT note FROM ﻿orders
--#
-- FLT-33 a column of a nested query in UPDATE
-- only: postgres
UPDATE tags SET name = 'x' FROM (SELECT o.id, 1 / (o.total - 30) AS q FROM orders o) x WHERE x.q IS NULL AND x.id = tags.id
--#
-- FLT-33 the same in DELETE
-- only: postgres
DELETE FROM tags USING (SELECT o.id, 'a' ~ o.code AS hit FROM orders o) x WHERE x.hit AND x.id = tags.id
--#
-- FLT-33 the same that sees the row beside it
-- only: postgres
-- fenced, in shared tables
UPDATE tags SET name = 'x' FROM orders o, LATERAL (SELECT 'a' ~ o.code AS hit) x WHERE x.hit AND o.id = tags.id
--#
-- FLT-33 NOT IN, whose query is run when the first row comes to it
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code LIKE 'SECRET-%' AND o.id NOT IN (SELECT 1 / x.x FROM generate_series(0, 0) x)
--#
-- FLT-33 the same over a table of tenants
-- only: postgres
-- fenced, in shared tables
DELETE FROM orders o WHERE o.code LIKE 'SECRET-%' AND o.id NOT IN (SELECT c.id FROM customers c WHERE CAST(c.name AS integer) > 0)
--#
-- FLT-33 a reference to the row that PostgreSQL leaves out
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code LIKE 'SECRET-%' AND o.total = (SELECT max(1 / x.x) FROM generate_series(0, 0) x WHERE true OR o.id = 1)
--#
-- FLT-33 the same in the columns of EXISTS
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code LIKE 'SECRET-%' AND (o.note IS NULL) <> EXISTS (SELECT o.id FROM countries c WHERE 1 / (length(c.name) - 7) > 0)
--#
-- FLT-33 a function in FROM of a nested query that fails
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code NOT LIKE 'SECRET-%' OR EXISTS (SELECT 1 FROM generate_series(1, 2, 0))
--#
-- FLT-33 a limit of a nested query that fails
-- only: postgres
-- fenced, in shared tables
SELECT id FROM orders o WHERE o.code NOT LIKE 'SECRET-%' OR EXISTS (SELECT 1 FROM countries LIMIT -1)
--#
-- FLT-33 a function in FROM of a nested query that fails, on SQLite
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND (note = 'b-one' OR EXISTS (SELECT value FROM json_each('{')))
--#
-- FLT-33 a column of a nested query that is a query which fails
-- only: postgres
-- fenced, in shared tables
SELECT s.id FROM (SELECT o.id, o.code, (SELECT bool_and(1 / x.x > 0) FROM generate_series(0, 0) x) AS c FROM orders o WHERE o.note LIKE 'b-%') s WHERE s.code NOT LIKE 'SECRET-%' OR s.c
--#
-- FLT-33 a column of a nested query that is a constant which fails
-- only: postgres
-- fenced, in shared tables
SELECT s.id FROM (SELECT o.id, o.code, to_date('x', 'YYYY') AS c FROM orders o WHERE o.note LIKE 'b-%') s WHERE s.code NOT LIKE 'SECRET-%' OR s.c IS NULL
--#
-- FLT-33 HAVING whose aggregate is left out
-- only: postgres
-- fenced, in shared tables
-- refused: leaky_predicate
SELECT code FROM orders GROUP BY code HAVING CASE WHEN true THEN 'x' ~ code ELSE count(*) > 0 END
--#
-- HAVING that divides aggregates
SELECT code FROM orders GROUP BY code HAVING CASE WHEN count(*) = 0 THEN 0 ELSE sum(total) / count(*) END > 12
--#
-- FLT-08 a sample, which tells where rows lie
-- only: postgres
-- refused: construct_not_allowed
SELECT id FROM orders TABLESAMPLE BERNOULLI (60) REPEATABLE (1)
--#
-- FLT-33 FULL JOIN by an equation that may fail
-- only: postgres
SELECT o.note, t.name FROM orders o FULL JOIN tags t ON CAST(code AS integer) = t.id
--#
-- FLT-33 the same where a condition makes it another join
-- only: postgres
SELECT o.note, t.name FROM orders o FULL JOIN tags t ON CAST(code AS integer) = t.id AND 'x' ~ o.code WHERE t.name > 'a'
--#
-- a name that is a keyword elsewhere
-- only: postgres
SELECT note FROM orders minus
--#
-- the number of a column that the query does not have
-- refused: construct_not_allowed
INSERT INTO tags (id, name) SELECT id + 50, note FROM orders ORDER BY 3
--#
-- words that touch
SELECT id FROM orders WHERE(id=1)ORDER BY id
--#
-- FLT-33 words that touch a fence
-- only: postgres
SELECT o.id FROM orders o JOIN tags t ON(CAST(o.code AS integer)=t.id)WHERE(o.id>0)
--#
-- FLT-33 the name of a column that fails, in a condition that an index does not serve
-- only: sqlite
SELECT json(note || '{') AS x FROM orders WHERE note > 'b-' AND x = 1
--#
-- FLT-33 the same in HAVING, in other quotes
-- only: sqlite
-- refused: leaky_predicate
SELECT json(note || '{') AS "a""b", count(*) AS n FROM orders GROUP BY note HAVING [a"b] = 1 AND note > 'b'
--#
-- FLT-33 the same of a column that has no name
-- only: mariadb
-- refused: leaky_predicate
SELECT total, exp(total), count(*) AS n FROM orders WHERE total > 25 GROUP BY total HAVING `exp(total)` > 5
--#
-- FLT-33 a fence beside a star that another name is given to
-- only: mariadb
-- refused: leaky_predicate
WITH b(x, i, c, t, n, k) AS (SELECT * FROM orders WHERE total > 25 AND exp(total) > 1) SELECT i FROM b WHERE b.x = 1
--#
-- a query that is fenced in IN
-- only: mariadb
SELECT id FROM orders WHERE id IN (SELECT order_id + 1 FROM order_tags)
--#
-- the same over a UNION
-- only: mariadb
SELECT id FROM orders WHERE id IN (SELECT order_id + 1 FROM order_tags UNION ALL SELECT 1)
--#
-- FLT-33 the columns of a UNION that may fail
-- only: mariadb
SELECT s.e FROM (SELECT exp(total) AS e, total AS t FROM orders WHERE total > 15 UNION ALL SELECT 1, 2) s WHERE s.e > 2
--#
-- conditions of which the first is unknown
-- only: postgres
SELECT id FROM orders WHERE (nullif(note, note) = 'x' AND CAST(note AS integer) > 3)
--#
-- a condition that keeps the next from documents that are none
-- only: sqlite
SELECT id FROM orders WHERE json_valid(note) = 0 OR json_extract(note, '$.a') = 1
--#
-- FLT-08 where a row lies, on SQLite
-- only: sqlite
-- refused: construct_not_allowed
SELECT max(rowid) AS r FROM orders
--#
-- FLT-08 the same in a list of columns
-- only: sqlite
-- refused: construct_not_allowed
INSERT INTO tags (rowid, id, name) VALUES (3, 9, 'x')
--#
-- FLT-30 how many transactions there were
-- only: postgres
-- refused: construct_not_allowed
SELECT age('3'::xid)
--#
-- FLT-30 a word that is a call
-- only: postgres
-- refused: construct_not_allowed
SELECT current_schema
--#
-- FLT-33 a text that grows beyond what SQLite holds
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND replace(replace(replace(replace(note, '-', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') IS NULL
--#
-- FLT-29 text behind END, which is the name of a column
-- refused: unparsable
SELECT 'z' END UNION SELECT note FROM orders
--#
-- FLT-29 the same behind the rows of an INSERT
-- refused: unparsable
INSERT INTO tags (id, name) SELECT 70, 'x' END UNION SELECT 71, 'y'
--#
-- FLT-29 SELECT INTO, which the parser takes for a column
-- refused: construct_not_allowed
SELECT into zzz FROM orders
--#
-- FLT-06 a column called as, in front of EXCEPT
-- only: postgres
SELECT o.note FROM orders o JOIN (SELECT true AS as) d ON d.as EXCEPT SELECT 'a-one'
--#
-- FLT-04 a column with its schema, where a derived table has none
-- only: postgres
-- refused: construct_not_allowed
SELECT tags.id, (SELECT count(*) FROM orders LEFT JOIN public.tags USING (id) WHERE public.tags.name IS NULL) AS n FROM public.tags
--#
-- FLT-33 an escape that is none
-- only: sqlite
SELECT id FROM orders WHERE note > 'b-' AND CASE WHEN note LIKE 'b-o%' THEN note LIKE 'a' ESCAPE 'xx' END
--#
-- FLT-32 a variable that touches a word
-- only: mariadb
-- refused: unparsable
SELECT ALL@@version
--#
-- FLT-32 the same in front of a name
-- only: mariadb
-- refused: unparsable
SELECT note INTO@x FROM orders WHERE id = 1
--#
-- rows of VALUES that are computed
-- not: mariadb
WITH v(a) AS (VALUES (abs(-1))) SELECT o.id FROM orders o, v WHERE o.id = v.a
--#
-- FLT-32 a word that the parser passes over
-- not: mariadb
-- refused: unparsable
SELECT count(*) FILTER FROM orders
--#
-- FLT-32 BINARY, of which the parser thinks that it holds for the whole comparison
-- only: mariadb
-- refused: unparsable
SELECT id FROM orders WHERE BINARY note = 'a-one'
--#
-- FLT-30 a literal of a quoted type, which the parser takes for a column
-- only: postgres
-- refused: unparsable
SELECT "regclass" 'orders', pg_catalog.regnamespace '2200'
--#
-- FLT-32 a string that SQLite takes for a name
-- only: sqlite
-- refused: construct_not_allowed
SELECT o.'rowid', id FROM orders o
--#
-- FLT-33 HAVING over a row that is spelled out, of which a part is moved before the groups
-- only: postgres
-- fenced, in shared tables
-- refused: leaky_predicate
SELECT note FROM orders GROUP BY note HAVING ROW('x' ~ note, true) = ROW(true, count(*) > 0)
--#
-- FLT-33 a function of a whole row, called as a column
-- only: postgres
SELECT o.id FROM orders o WHERE o.to_jsonb IS NULL
--#
-- a chain of FULL JOINs, the last one by what may be converted
-- only: postgres
SELECT o.id, c.id AS cid, t.id AS tid FROM orders o FULL JOIN customers c ON c.id = o.id FULL JOIN tags t ON t.id = coalesce(o.id, c.id)
--#
-- the same behind a LEFT JOIN
-- only: postgres
SELECT o.id, c.id AS cid, t.id AS tid FROM orders o LEFT JOIN customers c ON c.id = o.customer_id FULL JOIN tags t ON lower(t.name) = lower(coalesce(o.note, c.name))
--#
-- a condition that reads no row fails once, whoever's rows there are
-- only: postgres
SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM countries c WHERE 1 / (length(c.code) - length(c.code)) > 0)
--#
-- keys of a page, and filters that may be left out
-- only: postgres
SELECT o.id FROM orders o WHERE (o.total, o.id) > (1::int, 1::bigint) AND (NULL::bigint IS NULL OR o.id = 1) ORDER BY o.total, o.id LIMIT 2
--#
-- FLT-32 a number that touches a keyword, which the parser takes for one name
-- only: mariadb
-- refused: unparsable
SELECT tenant_id, note, 1.FROM orders
--#
-- a row that is spelled out, in a join
-- only: postgres
SELECT o.id, t.id AS tid FROM orders o JOIN tags t ON (ROW(o.id / 1, o.note)) = (t.id, t.name)
--#
-- FLT-22 rows that all tenants read are not locked
-- not: sqlite
-- refused: construct_not_allowed
SELECT code FROM countries FOR UPDATE
