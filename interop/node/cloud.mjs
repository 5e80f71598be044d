// npm's `@temporalio/cloud` against the control plane. It takes roots only from GRPC_DEFAULT_SSL_ROOTS_FILE_PATH. Prints `passed …` or
// `failed …` a promise; `cloud_node.py` starts it and says where in the environment.
import { CloudOperationsClient, CloudOperationsConnection } from '@temporalio/cloud';

const at = process.env;
const say = (line) => process.stdout.write(`${line}\n`);
const need = (condition, seen) => { if (!condition) throw new Error(JSON.stringify(seen)); };

async function promise(what, run) {
  try {
    await run();
    say(`passed ${what}`);
  } catch (error) {
    say(`failed ${what}: ${String(error.details ?? error.message ?? error).replaceAll('\n', ' ')}`);
  }
}

async function refused(call, code, words) {
  try {
    await call;
  } catch (error) {
    need(error.code === code && error.details.toLowerCase().includes(words), [error.code, error.details]);
    return;
  }
  throw new Error('it was answered');
}

async function connect(apiKey) {
  const connection = await CloudOperationsConnection.connect({ address: at.CONTROL, apiKey });
  return { connection, cloud: new CloudOperationsClient({ connection, apiVersion: 'v0.17.1' }).cloudService };
}

const { connection, cloud } = await connect(at.API_KEY);
const name = `npm.${at.ACCOUNT}`;

await promise('connects with GRPC_DEFAULT_SSL_ROOTS_FILE_PATH; GetCurrentIdentity', async () => {
  const who = await cloud.getCurrentIdentity({});
  need(who.user?.spec?.email === 'owner@localhost', who);
});
await promise('a namespace: create, get, list, update, delete', async () => {
  const made = await cloud.createNamespace({ spec: { name: 'npm', regions: ['local'], retentionDays: 7, apiKeyAuth: { enabled: true } }, asyncOperationId: 'npm-1' });
  need(made.namespace === name && made.asyncOperation.id === 'npm-1', made);
  const done = await cloud.getAsyncOperation({ asyncOperationId: 'npm-1' });
  need(done.asyncOperation.state === 5, done);
  const { namespace } = await cloud.getNamespace({ namespace: name });
  need(namespace.spec.retentionDays === 7, namespace);
  await cloud.updateNamespace({ namespace: name, spec: { ...namespace.spec, retentionDays: 8 }, resourceVersion: namespace.resourceVersion });
  need((await cloud.getNamespaces({})).namespaces.some((one) => one.namespace === name), name);
  const now = await cloud.getNamespace({ namespace: name });
  need(now.namespace.spec.retentionDays === 8, now);
  await cloud.deleteNamespace({ namespace: name, resourceVersion: now.namespace.resourceVersion });
  await refused(cloud.getNamespace({ namespace: name }), 5, '');
});
await promise('a service account and its key: create, use, setApiKey, delete', async () => {
  const robot = await cloud.createServiceAccount({ spec: { name: 'npm', access: { accountAccess: { role: 5 } } } });
  const expiryTime = { seconds: Math.floor(Date.now() / 1000) + 86400 };
  const key = await cloud.createApiKey({ spec: { ownerId: robot.serviceAccountId, ownerType: 2, displayName: 'n', expiryTime } });
  const other = await connect(key.token);
  need((await other.cloud.getCurrentIdentity({})).serviceAccount?.id === robot.serviceAccountId, key.keyId);
  await refused(other.cloud.deleteServiceAccount({ serviceAccountId: robot.serviceAccountId }), 7, '');
  await cloud.deleteServiceAccount({ serviceAccountId: robot.serviceAccountId });
  await refused(other.cloud.getCurrentIdentity({}), 16, '');
  other.connection.setApiKey(at.API_KEY);
  need((await other.cloud.getCurrentIdentity({})).user, 'setApiKey');
  await other.connection.close();
});
await promise('users, groups, regions, account, audit logs are read', async () => {
  need((await cloud.getUsers({})).users.length === 1, 'users');
  need((await cloud.getUserGroups({})).groups.length === 0, 'groups');
  need((await cloud.getRegions({})).regions.length > 0, 'regions');
  need((await cloud.getAccount({})).account.id === at.ACCOUNT, 'account');
  need((await cloud.getAuditLogs({ pageSize: 5 })).logs.length > 0, 'logs');
});
await promise('a wrong key is UNAUTHENTICATED', async () => {
  const wrong = await connect('wrong');
  await refused(wrong.cloud.getUsers({}), 16, 'api key');
});
await connection.close();
process.exit(0);
