// The TypeScript SDK through the gateway: a worker and a client with an API key, a worker and a client with a client certificate, and a
// key swapped in while a worker runs. `gateway_tools.py` starts it, tells it where in the environment, and answers on its standard input.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';

const at = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (line) => process.stdout.write(`${line}\n`);
Runtime.install({ logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error: (...what) => console.error(...what) } });

const tls = { serverNameOverride: at.GATEWAY_HOST, serverRootCACertificate: readFileSync(at.CA) };
const pair = { crt: readFileSync(at.CERTIFICATE), key: readFileSync(at.CERTIFICATE_KEY) };
const byKey = { address: at.GATEWAY, tls, apiKey: at.API_KEY };
const byCertificate = { address: at.GATEWAY, tls: { ...tls, clientCertPair: pair } };

async function withWorker(options, taskQueue, act) {
  const native = await NativeConnection.connect(options);
  const worker = await Worker.create({
    connection: native,
    namespace: at.NAMESPACE,
    taskQueue,
    workflowsPath: fileURLToPath(new URL('./workflows.js', import.meta.url)),
    activities: { greet: async (name) => `hello ${name}` },
  });
  const connection = await Connection.connect(options);
  const client = new Client({ connection, namespace: at.NAMESPACE });
  await worker.runUntil(act(client, native, connection));
  await connection.close();
  await native.close();
}

async function whole(client, taskQueue) {
  const handle = await client.workflow.start('greeting', { args: [taskQueue], taskQueue, workflowId: `${taskQueue}-1` });
  if ((await handle.query('waiting')) !== true) throw new Error('the query did not answer');
  await handle.signal('proceed');
  const got = await handle.result();
  if (got !== `hello ${taskQueue}`) throw new Error(got);
}

await withWorker(byKey, 'ts-key', (client) => whole(client, 'ts-key'));
say('passed worker and workflow with an API key');
await withWorker(byCertificate, 'ts-certificate', (client) => whole(client, 'ts-certificate'));
say('passed worker and workflow with a client certificate');
await withWorker(byKey, 'ts-swap', async (client, native, connection) => {
  const handle = await client.workflow.start('greeting', { args: ['swap'], taskQueue: 'ts-swap', workflowId: 'ts-swap-1' });
  await handle.query('waiting');
  say('swap');
  const next = (await lines.next()).value;
  await native.setApiKey(next);
  connection.setApiKey(next);
  await handle.query('waiting');
  say('swapped');
  await lines.next();
  await handle.signal('proceed');
  if ((await handle.result()) !== 'hello swap') throw new Error('the workflow lost its way');
});
say('passed a key swapped in mid-run, the old one deleted');
// The worker of the temporal CLI's turn: it serves until it is told to end.
await withWorker(byCertificate, 'cli', async () => { say('serving'); await lines.next(); });
process.exit(0);
