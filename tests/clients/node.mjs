// node-postgres by way of pgbearer proxy: node node.mjs
//
// The driver reads PGHOST (a folder is a Unix socket's), PGPORT, PGUSER, PGDATABASE and PGPASSFILE by itself.

import pg from "pg";

const client = new pg.Client();
await client.connect();

const who = await client.query("SELECT system_user, current_user");
const sum = await client.query("SELECT $1::int + $2::int AS sum", [40, 2]);
const cancelled = await cancel("DO $$ BEGIN RAISE NOTICE 'it runs'; PERFORM pg_sleep(600); END $$");
const after = await client.query("SELECT 1 + 1 AS sum");
await client.end();

console.log(JSON.stringify({ ...who.rows[0], ...sum.rows[0], cancelled, after: after.rows[0].sum }));

// A second client carries the cancel request; it only needs to know where the first one is connected to.
async function cancel(sql) {
  const query = new pg.Query(sql);
  const ended = new Promise((resolve) => {
    query.once("end", () => resolve(false));
    query.once("error", (error) => resolve(error.code === "57014"));
  });
  client.once("notice", () => new pg.Client().cancel(client, query));
  client.query(query);
  return ended;
}
