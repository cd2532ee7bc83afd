#!/bin/sh
# smime_certs.sh DIR: certificates, CRLs and CMS signatures for smime_test, made with openssl's command line. All people are invented.
set -eu
cd "$1"
exec 2>openssl.log

cat >x.cnf <<'CNF'
[req]
distinguished_name = dn
prompt = no
string_mask = utf8only
utf8 = yes
[dn]
CN = unused
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
subjectKeyIdentifier = hash
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = emailProtection
subjectAltName = ${ENV::SAN}
[utf8]
keyUsage = critical,digitalSignature
subjectAltName = @utf8san
[utf8san]
otherName.0 = 1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:bình@x.example
[nosan]
keyUsage = critical,digitalSignature
[nronly]
keyUsage = nonRepudiation
subjectAltName = ${ENV::SAN}
[server]
extendedKeyUsage = serverAuth
subjectAltName = ${ENV::SAN}
[encrypt]
keyUsage = critical,keyEncipherment
subjectAltName = ${ENV::SAN}
[both]
keyUsage = critical,digitalSignature
subjectAltName = ${ENV::SAN}
crlDistributionPoints = URI:http://crl.example/x.crl
authorityInfoAccess = OCSP;URI:http://ocsp.example/o
[caleaf]
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature,keyCertSign
extendedKeyUsage = emailProtection
subjectAltName = ${ENV::SAN}
[ca]
default_ca = def
[def]
database = index.txt
crlnumber = crlnumber
default_md = sha256
CNF
export SAN=email:none@x.example

key() { openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1.key"; }
root() { # name key
	openssl req -new -x509 -utf8 -config x.cnf -extensions root -key "$2.key" -sha256 -days 7300 -subj "/C=VN/O=Test/CN=$1" -out "$1.pem"
}
leaf() { # name ca key section SAN days
	SAN="$5" openssl req -new -utf8 -config x.cnf -key "$3.key" -subj "/C=VN/O=Tỉnh Mẫu/CN=$1" -out "$1.csr"
	serial=$((serial + 1))
	SAN="$5" openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2-key.key" -set_serial "$serial" -sha256 -days "$6" \
		-extfile x.cnf -extensions "$4" -out "$1.pem"
}
sign() { # name, options ...
	out=$1
	shift
	openssl cms -sign -binary -in content.bin -outform DER -out "$out.der" "$@"
}

serial=100
key root-key 2048; key other-key 2048; key k1 2048; key k1024 1024
openssl ecparam -name prime256v1 -genkey -noout -out kec.key
root root root-key; root other other-key
leaf manager root k1 leaf email:manager@x.example 3650
leaf eve root k1 leaf email:eve@x.example 3650
leaf vanthu root k1 leaf email:vanthu@x.example 3650
leaf former root k1 leaf email:manager.old@x.example 3650
leaf utf8 root k1 utf8 email:none@x.example 3650
leaf nosan root k1 nosan email:none@x.example 3650
leaf nronly root k1 nronly email:manager@x.example 3650
leaf server root k1 server email:manager@x.example 3650
leaf encrypt root k1 encrypt email:manager@x.example 3650
leaf caleaf root k1 caleaf email:manager@x.example 3650
leaf weak root k1024 leaf email:manager@x.example 3650
leaf ec root kec leaf email:manager@x.example 3650
leaf stranger other k1 leaf email:manager@x.example 3650
leaf revoked root k1 leaf email:manager@x.example 3650
leaf both root k1 both email:manager@x.example 3650
both_serial=$serial
leaf archive root k1 encrypt email:luutru@x.example 3650
leaf ecarchive root kec leaf email:luutru@x.example 3650
leaf ecvanthu root kec leaf email:vanthu@x.example 3650

printf 'Content-Type: text/plain; charset=utf-8\r\n\r\nXin chào,  \r\nkính gửi. \r\n' >content.bin
# header protection: RFC 9788, its forerunner, and a message inside (RFC 8551 3.1); one whose From is somebody else's
protected() # FILE CONTENT-TYPE
{
	printf 'From: Manager <manager@x.example>\r\nSubject: =?utf-8?B?SOG7jXA=?= giao ban\r\n' >"$1"
	printf 'Content-Type: text/plain; charset=utf-8%s\r\n\r\nkính gửi\r\n' "$2" >>"$1"
}
protected hp.bin '; hp="clear"'
protected hpold.bin '; protected-headers="v1"'
protected hpnone.bin ''
{ printf 'Content-Type: message/rfc822; forwarded=no\r\n\r\n'; cat hpnone.bin; } >hpwrap.bin
printf 'From: eve@x.example\r\nContent-Type: text/plain; hp=clear\r\n\r\nkính gửi\r\n' >hpeve.bin
{
	printf 'From: manager@x.example\r\nTo: "Nguyen, A" <a@x.example>, b@x.example\r\nCc: c@x.example\r\n'
	printf 'Date: Sat, 21 Nov 2026 01:00:00 +0000\r\nContent-Type: text/plain; hp=clear\r\n\r\nkính gửi\r\n'
} >hpall.bin
sed 's/21 Nov/20 Nov/' hpall.bin >hpdate.bin
for n in hpall hpdate hp hpold hpwrap hpeve hpnone; do
	openssl cms -sign -binary -in $n.bin -outform DER -out $n.der -signer manager.pem -inkey k1.key -md sha256 -nodetach
done
openssl cms -sign -binary -in hp.bin -outform DER -out hpclear.der -signer manager.pem -inkey k1.key -md sha256
for n in manager eve vanthu former utf8 nosan nronly server encrypt caleaf stranger revoked; do sign "$n" -signer "$n.pem" -inkey k1.key -md sha256; done
sign weak -signer weak.pem -inkey k1024.key -md sha256
sign ec -signer ec.pem -inkey kec.key -md sha256
openssl cms -sign -binary -in content.bin -outform DER -out pss.der -signer manager.pem -inkey k1.key -md sha256 -keyopt rsa_padding_mode:pss
openssl cms -sign -binary -in content.bin -outform DER -out pssmask.der -signer manager.pem -inkey k1.key -md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_mgf1_md:sha1
cat encrypt.pem archive.pem >two.crt
sign bag -signer manager.pem -inkey k1.key -md sha256 -certfile encrypt.pem
sign bagsigning -signer manager.pem -inkey k1.key -md sha256 -certfile eve.pem
sign bagtwo -signer manager.pem -inkey k1.key -md sha256 -certfile two.crt
sign both -signer both.pem -inkey k1.key -md sha256
sign sha1 -signer manager.pem -inkey k1.key -md sha1
sign noattr -signer manager.pem -inkey k1.key -md sha256 -noattr
sign opaque -signer manager.pem -inkey k1.key -md sha256 -nodetach
sign streamed -signer manager.pem -inkey k1.key -md sha256 -nodetach -stream
sign keyid -signer manager.pem -inkey k1.key -md sha512 -keyid
sign cades -signer manager.pem -inkey k1.key -md sha256 -cades
sign receipt -signer manager.pem -inkey k1.key -md sha256 -receipt_request_all -receipt_request_to manager@x.example
sign two -signer manager.pem -inkey k1.key -signer eve.pem -inkey k1.key -md sha256
sign twostranger -signer manager.pem -inkey k1.key -signer stranger.pem -inkey k1.key -md sha256
openssl crl2pkcs7 -nocrl -certfile manager.pem -outform DER -out certsonly.der
openssl cms -encrypt -binary -in content.bin -outform DER -out encrypted.der -aes256 manager.pem archive.pem || cp certsonly.der encrypted.der
{ cat manager.der; printf 'x'; } >trailing.der

mkdir -p trust/x.example/archive trust/crl.example trust/old.example trust/y.example
cat archive.pem ecarchive.pem >trust/x.example/archive/luutru.pem
cp root.pem trust/x.example/root.pem
cp root.pem trust/crl.example/root.pem
cp root.pem trust/old.example/root.pem
cp other.pem trust/y.example/other.pem
: >index.txt
echo 01 >crlnumber
openssl ca -config x.cnf -cert root.pem -keyfile root-key.key -revoke revoked.pem
openssl ca -config x.cnf -cert root.pem -keyfile root-key.key -gencrl -crldays 3650 -out trust/crl.example/root.crl
openssl ca -config x.cnf -cert root.pem -keyfile root-key.key -gencrl -crlsec 1 -out trust/old.example/root.crl
openssl ca -config x.cnf -cert root.pem -keyfile root-key.key -gencrl -crl_lastupdate 20250101000000Z -crl_nextupdate 20450101000000Z -out older.crl
openssl ca -config x.cnf -cert root.pem -keyfile root-key.key -gencrl -crl_lastupdate 20440101000000Z -crl_nextupdate 20450101000000Z -out future.crl
printf 'V\t361231235959Z\t\t%X\tunknown\t/CN=both\n' "$both_serial" >ocsp.txt
openssl ocsp -index ocsp.txt -CA root.pem -rsigner root.pem -rkey root-key.key -issuer root.pem -cert both.pem -no_nonce -ndays 3650 -noverify -respout both.ocsp
openssl crl -in trust/crl.example/root.crl -outform PEM -out embedded.pem
touch 'done'
