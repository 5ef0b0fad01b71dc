import { util } from '@aws-appsync/utils';

// One page of the cases with a status, newest first. The caller's accounts are part of the database's filter, so that a page may be
// shorter than its limit and still have a next one.

const STATUSES = ['OPEN', 'CLOSED', 'CLOSED_WITH_GAPS', 'FAILED'];
const DEFAULT_LIMIT = 20;
const HIGHEST_LIMIT = 100;
const OF_ACCOUNT = 'forensics-account-';

// null: all accounts
function accountsOf(ctx) {
  const identity = ctx.identity;
  if (!identity) {
    return [];
  }
  if (identity.claims) {
    const groups = identity.claims['cognito:groups'] || [];
    if (groups.includes('forensics-all-accounts')) {
      return null;
    }
    // groups only: people may write attributes of their own (custom:...), but only an administrator puts them into a group
    return groups.filter((group) => group.startsWith(OF_ACCOUNT)).map((group) => group.slice(OF_ACCOUNT.length));
  }
  return identity.accountId === ctx.env.FORENSIC_ACCOUNT_ID ? null : [identity.accountId];
}

function filterBy(accounts) {
  const values = {};
  accounts.forEach((account, index) => {
    values[`:account${index}`] = account;
  });
  return {
    expression: `#data.account_id IN (${Object.keys(values).join(', ')})`,
    expressionNames: { '#data': 'data' },
    expressionValues: util.dynamodb.toMapValues(values),
  };
}

export function request(ctx) {
  const limit = ctx.args.limit || DEFAULT_LIMIT;
  if (limit < 1 || limit > HIGHEST_LIMIT) {
    util.error(`limit must be between 1 and ${HIGHEST_LIMIT}`, 'BadRequest');
  }
  if (!STATUSES.includes(ctx.args.status)) {
    util.error('status is not one of a case', 'BadRequest');
  }
  const accounts = accountsOf(ctx);
  if (accounts && (accounts.length < 1 || accounts.length > 100)) {
    util.unauthorized();
  }
  const request = {
    operation: 'Query',
    index: 'GSI2',
    query: {
      expression: 'GSI2PK = :status',
      expressionValues: util.dynamodb.toMapValues({ ':status': `STATUS#${ctx.args.status}` }),
    },
    scanIndexForward: false,
    limit,
    nextToken: ctx.args.nextToken,
  };
  if (accounts) {
    request.filter = filterBy(accounts);
  }
  return request;
}

export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  return { items: ctx.result.items.map((item) => item.data), nextToken: ctx.result.nextToken };
}
