#!/bin/sh
# Makes the requests and certificates of this folder anew, with OpenSSL 3 and strongSwan's `pki`
# (Debian: openssl, strongswan-pki). Keys are thrown away: tests need only what devices send.
#
#   sh host/profile/tests/data/record.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

openssl genrsa -out rsa.pem 2048 2>/dev/null
openssl genrsa -out rsa1024.pem 1024 2>/dev/null
openssl genrsa -3 -out rsa-e3.pem 2048 2>/dev/null
for curve in P-256 P-384 P-521 secp256k1; do
    openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$curve" -out "$curve.pem"
done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
    -pkeyopt ec_param_enc:explicit -out explicit.pem
openssl genpkey -algorithm ED25519 -out ed25519.pem

# A request with everything OpenSSL can put into it.
cat >full.cnf <<'CNF'
[req]
prompt = no
string_mask = utf8only
distinguished_name = dn
attributes = attributes
req_extensions = extensions
[dn]
C = CH
O = Example, Inc.
OU = Devices
CN = device-17
serialNumber = 7+7
[attributes]
challengePassword = correct horse
[extensions]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth, serverAuth
subjectAltName = @names
[names]
DNS.1 = Device-17.Example
email.1 = ops@Example
URI.1 = https://Device-17.example/id?x=1
URI.2 = tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104
IP.1 = 192.0.2.17
IP.2 = 2001:db8::17
otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:device-17@Corp.Example
otherName.2 = 1.2.3.4;UTF8:other
dirName.1 = directory
[directory]
O = Example
CN = device-17
CNF
openssl req -new -config full.cnf -key rsa.pem -sha256 -outform DER -out "$here/openssl-full.csr"

# One request a key, digest and padding.
request() {
    name=$1 key=$2
    shift 2
    openssl req -new -subj /CN=device-17 -key "$key" "$@" -outform DER -out "$here/$name.csr"
}
request openssl-rsa-sha1 rsa.pem -sha1
request openssl-rsa-sha256 rsa.pem -sha256
request openssl-rsa-sha384 rsa.pem -sha384
request openssl-rsa-sha512 rsa.pem -sha512
request openssl-rsa-md5 rsa.pem -md5
request openssl-rsa-sha224 rsa.pem -sha224
request openssl-rsa-pss rsa.pem -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
request openssl-rsa-pss-long-salt rsa.pem -sha256 -sigopt rsa_padding_mode:pss
request openssl-rsa1024 rsa1024.pem -sha256
request openssl-rsa-e3 rsa-e3.pem -sha256
for digest in sha1 sha256 sha384 sha512; do
    request "openssl-p256-$digest" P-256.pem "-$digest"
done
request openssl-p384-sha256 P-384.pem -sha256
request openssl-p384-sha384 P-384.pem -sha384
request openssl-p521-sha512 P-521.pem -sha512
request openssl-k256 secp256k1.pem -sha256
request openssl-explicit-curve explicit.pem -sha256
request openssl-ed25519 ed25519.pem

# The string types that OpenSSL writes into a challenge: UTF8String, TeletexString, BMPString.
for mask in utf8only default MASK:0x800; do
    printf '[req]\nprompt=no\nstring_mask=%s\ndistinguished_name=d\nattributes=a\n[d]\nCN=device-17\n[a]\nchallengePassword=Zauber@Wort_17\n' \
        "$mask" >mask.cnf
    openssl req -new -config mask.cnf -key P-256.pem -sha256 -outform DER \
        -out "$here/openssl-challenge-$(echo "$mask" | tr -d ':' | tr 'A-Z' 'a-z').csr"
done

# A multi-valued RDN.
openssl req -new -multivalue-rdn -subj '/O=Example/CN=device-17+serialNumber=7' -key P-256.pem \
    -outform DER -out "$here/openssl-multi-valued.csr" 2>/dev/null

# strongSwan: two attributes, in an order that DER does not allow; a template name with --profile.
pki --req --in rsa.pem --type rsa --dn 'C=CH, O=Example, CN=device-17' --san device-17.example \
    --san ops@example --password 'correct horse' --profile server \
    >"$here/strongswan-profile.csr" 2>/dev/null
pki --req --in rsa.pem --type rsa --dn 'C=CH, O=Example, CN=device-17' --san device-17.example \
    --password 'correct horse' >"$here/strongswan.csr" 2>/dev/null
pki --req --in rsa.pem --type rsa --rsa-padding pss --digest sha256 --dn 'CN=device-17' \
    >"$here/strongswan-pss.csr" 2>/dev/null
pki --req --in P-256.pem --type ecdsa --dn 'CN=device-17' >"$here/strongswan-p256.csr" 2>/dev/null

# A CA with every constraint OpenSSL can write, and a certificate it signed.
cat >ca.cnf <<'CNF'
[req]
prompt = no
distinguished_name = dn
x509_extensions = extensions
[dn]
O = Example
CN = Example Device CA
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical, @constraints
[constraints]
permitted;DNS.1 = devices.example
permitted;email.1 = .example
permitted;URI.1 = .devices.example
permitted;IP.1 = 192.0.2.0/255.255.255.0
permitted;IP.2 = 2001:db8::/ffff:ffff::
permitted;dirName.1 = directory
permitted;otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:corp.example
excluded;DNS.1 = secret.devices.example
[directory]
O = Example
CNF
openssl req -x509 -new -config ca.cnf -key P-256.pem -sha256 -days 36500 -outform DER \
    -out "$here/openssl-constrained-ca.cer"
cat >leaf.cnf <<'CNF'
subjectAltName = DNS:a.devices.example
extendedKeyUsage = clientAuth
keyUsage = critical, digitalSignature
basicConstraints = CA:FALSE
CNF
openssl req -new -subj '/O=Example/CN=a' -key rsa.pem -out leaf.csr
openssl x509 -req -in leaf.csr -CA "$here/openssl-constrained-ca.cer" -CAform DER \
    -CAkey P-256.pem -set_serial 0x7f00112233445566778899aabbccddeeff00112233445566778899aabbccddee \
    -days 365 -extfile leaf.cnf -outform DER -out "$here/openssl-long-serial.cer" 2>/dev/null
