// Pipeline of a subscription: authorizeCase refuses other accounts' cases; the subscription itself then begins with nothing. AppSync delivers
// only entries whose id is the argument's.

export function request(ctx) {
  return {};
}

export function response(ctx) {
  return null;
}
