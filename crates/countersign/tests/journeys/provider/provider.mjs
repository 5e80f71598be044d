// A real OpenID Connect provider (npm oidc-provider) for the login journeys: every account name is a user whose mail address is
// the name itself, verified unless it begins with "unverified". Prints its issuer when it listens.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [, , redirect, inToken] = process.argv;
const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id: 'countersign', client_secret: 'a secret: with+signs&', redirect_uris: [redirect] }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: inToken !== 'in-token',
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['for tests alone'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id.replace(/^unverified-/, ''), email_verified: !id.startsWith('unverified-') }),
  }),
});
server.on('request', provider.callback());
console.log(issuer);
