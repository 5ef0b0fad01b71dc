import { util } from '@aws-appsync/utils';

// Second function of the queries that list a case's items: one page of the items with the field's sort key prefix.

const PREFIX = {
  timeline: 'TIMELINE#', evidence: 'EVIDENCE#', custody: 'CUSTODY#', remarks: 'REMARK#', investigations: 'RESULT#',
};
const JSON_FIELDS = ['origin', 'lock', 'detail', 'document', 'artifacts', 'facts', 'disk_keys'];
const DEFAULT_LIMIT = 50;
const HIGHEST_LIMIT = 200;

export function request(ctx) {
  const prefix = PREFIX[ctx.info.fieldName];
  if (!prefix) {
    util.error(`there is no list ${ctx.info.fieldName}`, 'BadRequest');
  }
  const limit = ctx.args.limit || DEFAULT_LIMIT;
  if (limit < 1 || limit > HIGHEST_LIMIT) {
    util.error(`limit must be between 1 and ${HIGHEST_LIMIT}`, 'BadRequest');
  }
  return {
    operation: 'Query',
    query: {
      expression: 'PK = :case AND begins_with(SK, :prefix)',
      expressionValues: util.dynamodb.toMapValues({ ':case': `CASE#${ctx.args.id}`, ':prefix': prefix }),
    },
    limit,
    nextToken: ctx.args.nextToken,
    consistentRead: true,
  };
}

function shown(data) {
  const item = { ...data };
  JSON_FIELDS.forEach((name) => {
    if (item[name]) {
      item[name] = JSON.stringify(item[name]);
    }
  });
  return item;
}

export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  return { items: ctx.result.items.map((item) => shown(item.data)), nextToken: ctx.result.nextToken };
}
