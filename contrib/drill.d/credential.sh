#!/usr/bin/env bash
# Proves that the key of the bundle's configuration is the one that the bundle's rows are encrypted with: one
# credential is opened. Without that key, all of them are lost, however whole the database is.
# Here: tenant_0001.credentials.sealed is base64 of a nonce of 12 bytes, the text encrypted with AES-256 in GCM, and its
# tag of 16 bytes; secrets/credential_encryption_key holds the key's 32 bytes. Adapt it, or call the product's own code.
# The tag is computed in a scratch database of the private server, with the extension pgcrypto. The key reaches it
# through a pipe, never through a command line.
set -euo pipefail

# Of the restored database; where the private server runs in a container, so does psql.
query() {
  if [[ -n "${PG_SNAP_EXEC:-}" ]]; then
    eval "$PG_SNAP_EXEC"' psql "$@"'
  else
    psql "$@"
  fi
}
options=(-X -q -A -t -v ON_ERROR_STOP=1)

sealed="$(query "${options[@]}" -c "SELECT sealed FROM tenant_0001.credentials ORDER BY name LIMIT 1" </dev/null)"
if [[ -z "$sealed" ]]; then
  echo 'there is no credential to open'
  exit 1
fi
query "${options[@]}" -c 'CREATE DATABASE credential_check' </dev/null
opened="$({
  printf "\\\\set sealed '%s'\n\\\\set key '%s'\n" "$sealed" \
    "$(od -An -v -tx1 -- "$DRILL_CONFIG/secrets/credential_encryption_key" | tr -d ' \n')"
  cat <<'SQL'
CREATE EXTENSION pgcrypto;
-- Multiplication in the field of GCM: NIST SP 800-38D, 6.3.
CREATE FUNCTION times(x bit(128), y bit(128)) RETURNS bit(128) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  z bit(128) := repeat('0', 128)::bit(128);
  v bit(128) := y;
BEGIN
  FOR i IN 0..127 LOOP
    IF get_bit(x, i) = 1 THEN z := z # v; END IF;
    v := CASE WHEN get_bit(v, 127) = 1 THEN (v >> 1) # ('x' || 'e1' || repeat('0', 30))::bit(128) ELSE v >> 1 END;
  END LOOP;
  RETURN z;
END $$;
CREATE FUNCTION bits(block bytea) RETURNS bit(128) LANGUAGE sql IMMUTABLE AS
  $$SELECT ('x' || encode(block, 'hex'))::bit(128)$$;
-- The tag of a text: 7.1, without further authenticated data.
CREATE FUNCTION tag(nonce bytea, text bytea, key bytea) RETURNS bit(128) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  h bit(128) := bits(encrypt(decode(repeat('00', 16), 'hex'), key, 'aes-cbc/pad:none'));
  padded bytea := text || decode(repeat('00', (16 - length(text) % 16) % 16), 'hex');
  sum bit(128) := repeat('0', 128)::bit(128);
BEGIN
  FOR i IN 0..length(padded) / 16 - 1 LOOP
    sum := times(sum # bits(substr(padded, 16 * i + 1, 16)), h);
  END LOOP;
  sum := times(sum # (repeat('0', 64)::bit(64) || (8 * length(text)::bigint)::bit(64)), h);
  RETURN sum # bits(encrypt(nonce || '\x00000001', key, 'aes-cbc/pad:none'));
END $$;
WITH parts AS (SELECT decode(:'sealed', 'base64') AS all_bytes)
SELECT bits(substr(all_bytes, length(all_bytes) - 15)) =
  tag(substr(all_bytes, 1, 12), substr(all_bytes, 13, length(all_bytes) - 28), decode(:'key', 'hex'))
FROM parts;
SQL
} | query "${options[@]}" -d credential_check -f -)"
query "${options[@]}" -c 'DROP DATABASE credential_check' </dev/null
if [[ "$opened" != t ]]; then
  echo "the key of the bundle's configuration does not open a credential of its database"
  exit 1
fi
echo 'one credential opened'
