// Pipeline of every query about one case: authorizeCase, then (but for the case itself) caseItems.

export function request(ctx) {
  return {};
}

export function response(ctx) {
  return ctx.prev.result;
}
