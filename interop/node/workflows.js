// The workflow that the worker of `worker.mjs` runs: waits to be told, then asks an activity.
import { condition, defineQuery, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';

const { greet } = proxyActivities({ startToCloseTimeout: '20s' });
export const proceed = defineSignal('proceed');
export const waiting = defineQuery('waiting');

export async function greeting(name) {
  let go = false;
  setHandler(proceed, () => { go = true; });
  setHandler(waiting, () => !go);
  await condition(() => go);
  return await greet(name);
}
