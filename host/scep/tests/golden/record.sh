#!/bin/sh
# Records the golden messages in tests/golden/scep with real clients: strongSwan `pki --scep`,
# micromdm `scepclient`, certmonger (Debian packages strongswan-pki with libstrongswan-extra-plugins
# for its HTTP, scep, certmonger and dbus-daemon) and `openssl cms`.
#
#   host/scep/tests/golden/record.sh DIRECTORY
#
# Makes new keys each time: record into an empty directory, compare, then move. The keys belong to
# nobody and protect nothing.
set -eu
cd "$(dirname "$0")/../../../.."
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)
if [ -z "${RECORD:-}" ]; then # RECORD: the recorder, where it is built already
    cargo build --quiet -p countersign-scep --example record
    target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    RECORD=$target/debug/examples/record
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

new_key() { openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/$1.pem" &&
    openssl pkcs8 -topk8 -nocrypt -in "$work/$1.pem" -outform DER -out "$out/$1.key"; }

# CA, CEP (opens envelopes), REP (signs replies), a device with a certificate of this CA.
new_key ca; new_key cep; new_key rep; new_key device
openssl req -x509 -key "$work/ca.pem" -subj "/CN=Golden test CA" -days 36500 -out "$work/ca.crt" \
    -addext "keyUsage=critical,keyCertSign,cRLSign"
issue() { # name, subject, key usage
    printf 'keyUsage=critical,%s\nsubjectKeyIdentifier=hash\nbasicConstraints=CA:FALSE\n' "$3" > "$work/ext"
    openssl req -new -key "$work/$1.pem" -subj "$2" |
        openssl x509 -req -CA "$work/ca.crt" -CAkey "$work/ca.pem" -days 36500 -extfile "$work/ext" \
            -out "$work/$1.crt" 2>/dev/null
}
issue cep "/CN=Golden test CEP" keyEncipherment
issue rep "/CN=Golden test REP" digitalSignature
issue device "/CN=golden-device" digitalSignature,keyEncipherment
for name in ca cep rep device; do
    openssl x509 -in "$work/$name.crt" -outform DER -out "$out/$name.der"
done
openssl crl2pkcs7 -nocrl -certfile "$work/cep.crt" -certfile "$work/rep.crt" -certfile "$work/ca.crt" \
    -outform DER -out "$out/bundle.p7"
rm "$out/ca.key"

modern=AES,POSTPKIOperation,SCEPStandard,SHA-256,SHA-384,SHA-512,Renewal,DES3,SHA-1
by_get=AES,SHA-256,SHA-384,SHA-512,Renewal

sink() { # stem, capabilities, pending
    rm -f "$work/port"
    timeout 60 "$RECORD" "$out" "$@" > "$work/port" &
    recorder=$!
    while [ ! -s "$work/port" ]; do sleep 0.1; done
    url=http://127.0.0.1:$(cat "$work/port")/scep
}
strongswan() { # stem, arguments of pki --scep
    stem=$1; shift
    timeout 20 pki --scep --url "$url" --in "$work/device.pem" --cacert-enc "$work/cep.crt" \
        --cacert-sig "$work/rep.crt" --cacert "$work/ca.crt" "$@" > /dev/null 2>&1 || true
    kill "$recorder" 2>/dev/null || true; wait "$recorder" || true
}
new_request="--dn CN=golden-device,O=Example --san device.example.org --password golden-challenge"

sink strongswan-pkcsreq "$modern"; strongswan strongswan-pkcsreq $new_request
sink strongswan-sha512-pss "$modern"
strongswan strongswan-sha512-pss $new_request --digest sha512 --rsa-padding pss
sink strongswan-des3-sha1 "$modern"
strongswan strongswan-des3-sha1 $new_request --cipher des3 --digest sha1
sink strongswan-renewal "$modern"
strongswan strongswan-renewal $new_request --cert "$work/device.crt" --key "$work/device.pem"
sink strongswan-certpoll "$modern" pending
strongswan strongswan-certpoll $new_request --interval 1

micromdm() { # arguments of scepclient
    (cd "$work" && timeout 20 scepclient -server-url "$url" -cn golden-device -challenge golden-challenge \
        "$@" > /dev/null 2>&1) || true
    kill "$recorder" 2>/dev/null || true; wait "$recorder" || true
}
sink micromdm-pkcsreq "$modern"
micromdm -private-key "$work/micromdm.pem" -certificate "$work/micromdm.crt"
sink micromdm-get "$by_get"
micromdm -private-key "$work/micromdm.pem" -certificate "$work/micromdm-get.crt"
openssl rsa -traditional -in "$work/device.pem" -out "$work/device-rsa.pem" 2>/dev/null
sink micromdm-renewal "$modern"
micromdm -private-key "$work/device-rsa.pem" -certificate "$work/device.crt"

# certmonger asks by GET for everything, and renews with a PKCSReq that its old certificate signs.
certmonger() { # first request: new, or the command that renews: resubmit, rekey
    (cd "$work" && rm -rf certmonger && mkdir -p certmonger && cd certmonger &&
        cp ../ca.crt ../device.crt . && cp ../device-rsa.pem device.pem && mkdir cas requests local tmp &&
        HOME=$PWD CERTMONGER_CAS_DIR=$PWD/cas CERTMONGER_REQUESTS_DIR=$PWD/requests \
        CERTMONGER_LOCAL_CA_DIR=$PWD/local CERTMONGER_TMPDIR=$PWD/tmp \
        timeout 30 dbus-run-session -- sh -c '
            certmonger -s -n & daemon=$!
            sleep 1; getcert add-scep-ca -s -c golden -u "$1" -R ca.crt; sleep 2
            if [ "$2" = new ]; then
                getcert request -s -c golden -I device -f "$PWD/new.crt" -k "$PWD/new.pem" \
                    -L golden-challenge -N CN=golden-device -D device.example.org
            else
                getcert start-tracking -s -c golden -I device -f "$PWD/device.crt" \
                    -k "$PWD/device.pem" -L golden-challenge; sleep 1; getcert "$2" -s -i device
            fi
            sleep 3; kill "$daemon"; wait "$daemon"' - "$url" "$1" > /dev/null 2>&1) || true
    kill "$recorder" 2>/dev/null || true; wait "$recorder" || true
}
sink certmonger-pkcsreq "$by_get"; certmonger new
sink certmonger-renewal "$by_get"; certmonger resubmit
sink certmonger-rekey "$by_get"; certmonger rekey

# Envelopes only, in the BER that openssl writes when it streams; tests sign around them.
cat > "$work/req.cnf" <<CONFIG
[req]
distinguished_name = dn
attributes = attributes
req_extensions = extensions
prompt = no
[dn]
CN = golden-device
[attributes]
challengePassword = golden-challenge
[extensions]
subjectAltName = DNS:device.example.org
CONFIG
openssl req -new -key "$work/device.pem" -config "$work/req.cnf" -outform DER -out "$out/openssl-csr.der"
envelope() { # stem, arguments
    stem=$1; shift
    openssl cms -encrypt -binary -in "$out/openssl-csr.der" -outform DER -out "$out/$stem.env" "$@" 2>/dev/null
}
envelope openssl-aes128-streamed -stream -aes128 "$work/cep.crt"
envelope openssl-aes256-indefinite -indef -aes256 "$work/cep.crt"
envelope openssl-aes192-definite -noindef -aes192 "$work/cep.crt"
envelope openssl-des3-streamed -stream -des3 "$work/cep.crt"
envelope openssl-key-identifier -stream -aes128 -keyid "$work/cep.crt"
envelope openssl-oaep-sha1 -aes128 -recip "$work/cep.crt" -keyopt rsa_padding_mode:oaep
envelope openssl-oaep-sha256 -aes128 -recip "$work/cep.crt" -keyopt rsa_padding_mode:oaep \
    -keyopt rsa_oaep_md:sha256
openssl ecparam -name prime256v1 -genkey -noout -out "$work/ec.pem"
openssl req -x509 -key "$work/ec.pem" -subj "/CN=Golden test EC recipient" -days 36500 -out "$work/ec.crt"
envelope openssl-several-recipients -stream -aes256 "$work/ec.crt" "$work/rep.crt" "$work/cep.crt"
envelope openssl-password-and-key -aes128 -pwri_password golden-challenge -recip "$work/cep.crt"

# Signers as odd as clients make them, and two that are refused.
odd_signer() { # stem, arguments of openssl req
    stem=$1; shift
    openssl req -x509 -subj "/CN=golden-device" -days 1 -outform DER -out "$out/$stem.der" "$@"
}
odd_signer signer-odd -key "$work/device.pem" \
    -addext "2.5.29.35=critical,DER:3016801401020304050607080910111213141516171819AB" \
    -set_serial 0x80a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf
odd_signer signer-ec -key "$work/ec.pem"
openssl genrsa -out "$work/weak.pem" 1024 2>/dev/null
odd_signer signer-weak -key "$work/weak.pem"

ls -l "$out"
