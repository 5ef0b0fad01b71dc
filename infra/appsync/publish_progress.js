import { util } from '@aws-appsync/utils';

// Passes a new timeline entry on to subscribers; nothing is stored. Only the rule of stack query-progress may call it: whoever else may use
// the API by IAM could otherwise tell responders things that never happened.

export function request(ctx) {
  const identity = ctx.identity;
  const caller = identity && identity.userArn ? identity.userArn : '';
  const rule = `arn:${ctx.env.PARTITION}:sts::${ctx.env.FORENSIC_ACCOUNT_ID}:assumed-role/${ctx.env.PROGRESS_ROLE}/`;
  if (!caller.startsWith(rule)) {
    util.unauthorized();
  }
  const [kind, id] = ctx.args.pk.split('#');
  if (kind !== 'CASE' || !id) {
    util.error('pk is not that of a case', 'BadRequest');
  }
  return { payload: { id, time: ctx.args.time, kind: ctx.args.kind, what: ctx.args.what } };
}

export function response(ctx) {
  return ctx.result;
}
