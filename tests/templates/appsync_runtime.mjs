// Runs handlers of AppSync resolvers as APPSYNC_JS does: for each line {file, handler, ctx} of standard input one line on standard output.
// The module `@aws-appsync/utils` is a stub on AWS too (the runtime injects it); here it is what the resolvers use of it.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { runInNewContext } from 'node:vm';

class Refusal extends Error {
  constructor(message, type) {
    super(message);
    this.type = type;
  }
}

function toDynamoDB(value) {
  if (value === null) return { NULL: true };
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number') return { N: String(value) };
  if (typeof value === 'boolean') return { BOOL: value };
  if (Array.isArray(value)) return { L: value.map(toDynamoDB) };
  return { M: toMapValues(value) };
}

function toMapValues(values) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toDynamoDB(value)]));
}

const util = {
  dynamodb: { toDynamoDB, toMapValues },
  error: (message, type) => {
    throw new Refusal(message, type);
  },
  unauthorized: () => {
    throw new Refusal('Unauthorized', 'Unauthorized');
  },
  matches: (pattern, value) => new RegExp(pattern).test(value),
};

function run({ file, handler, ctx }) {
  const source = readFileSync(file, 'utf8')
    .replace(/^import \{ util \} from '@aws-appsync\/utils';$/m, '')
    .replace(/^export function/gm, 'function');
  try {
    // a context without Node's globals: what APPSYNC_JS has not, the resolver cannot use here either
    return { result: runInNewContext(`${source}\n${handler}(ctx);`, { util, ctx }, { timeout: 2000 }) ?? null };
  } catch (error) {
    if (error instanceof Refusal) return { error: { message: error.message, type: error.type } };
    return { broken: String(error.stack) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(run(JSON.parse(line))));
}
