import assert from 'node:assert/strict'
import { test } from 'node:test'
import { credentialsFromEnv, mskIamToken, presign } from '../../examples/msk-iam-token.ts'

test('signs the example of the Signature Version 4 documentation', () => {
  const url = presign({
    host: 'examplebucket.s3.amazonaws.com',
    path: '/test.txt',
    query: {},
    region: 'us-east-1',
    service: 's3',
    credentials: {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    },
    now: Date.UTC(2013, 4, 24),
    expiresSeconds: 86_400,
    bodyHash: 'UNSIGNED-PAYLOAD',
  })
  assert.match(url, /&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404$/)
})

// The signatures are those of aws-msk-iam-sasl-signer-js 1.0.3 for the same credentials at the same time.
for (const [what, sessionToken, signature] of [
  ['lasting credentials', undefined, '1c55ebece8fe245bb22da55b42dbf85f58feabd7d6cd3e8ce7acdb36be43851f'],
  ['a session', 'a+session/token==', '4d661f44a4e346cdb0f805531f3e62663016f96d614b1be8336b6101f332d50a'],
] as const) {
  test(`a token of ${what} is the one that Amazon's own signer makes`, () => {
    const { value } = mskIamToken({
      region: 'eu-central-1',
      credentials: {
        accessKeyId: 'AKIDEXAMPLE',
        secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
        ...(sessionToken === undefined ? {} : { sessionToken }),
      },
      now: Date.UTC(2026, 10, 21, 4, 30),
    })
    assert.match(value, /^[\w-]+$/)
    const url = new URL(Buffer.from(value, 'base64url').toString())
    assert.equal(url.host, 'kafka.eu-central-1.amazonaws.com')
    assert.equal(url.searchParams.get('X-Amz-Signature'), signature)
    assert.equal(url.searchParams.get('X-Amz-Security-Token'), sessionToken ?? null)
    assert.equal(url.searchParams.get('X-Amz-Expires'), '900')
    assert.equal(url.searchParams.get('User-Agent'), 'ottla')
  })
}

test('credentials come from the environment, or their absence is told', () => {
  assert.throws(() => credentialsFromEnv({}), /AWS_ACCESS_KEY_ID/)
  assert.deepEqual(credentialsFromEnv({ AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }), {
    accessKeyId: 'a',
    secretAccessKey: 'b',
  })
})
