import { util } from '@aws-appsync/utils';

// First function of every query about one case: reads the head record and refuses a case of somebody else's account.
// A case that does not exist and a case that the caller may not see give the same answer: ids cannot be probed.

const CASE_ID = '^fc-[0-9]{8}-[0-9a-f]{10}$';

function mayRead(ctx, account) {
  const identity = ctx.identity;
  if (!identity) {
    return false;
  }
  if (identity.claims) {
    // groups only: people may write attributes of their own (custom:...), but only an administrator puts them into a group
    const groups = identity.claims['cognito:groups'] || [];
    return groups.includes('forensics-all-accounts') || groups.includes(`forensics-account-${account}`);
  }
  // IAM: people and programs of the forensic account see all, those of a member account their own account's cases
  return identity.accountId === account || identity.accountId === ctx.env.FORENSIC_ACCOUNT_ID;
}

export function request(ctx) {
  if (!util.matches(CASE_ID, ctx.args.id)) {
    util.error('id is not a case id', 'BadRequest');
  }
  return {
    operation: 'GetItem',
    key: util.dynamodb.toMapValues({ PK: `CASE#${ctx.args.id}`, SK: 'META' }),
    consistentRead: true,
  };
}

export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  if (!ctx.result || !mayRead(ctx, ctx.result.data.account_id)) {
    util.error(`case ${ctx.args.id} does not exist, or is not yours to see`, 'NotFound');
  }
  return ctx.result.data;
}
