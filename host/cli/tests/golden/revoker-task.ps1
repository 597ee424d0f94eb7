#Requires -Version 5.1
<#
.SYNOPSIS
    Carries out Countersign's revocation orders on this AD CS certification authority.
.DESCRIPTION
    Made by `countersign revoker script`; do not edit it, make it anew.

    Pulls signed orders from Countersign over mutual TLS, verifies each signature with the key below,
    revokes the certificate if the CA issued exactly that one, and says what became of each order.
    What is not signed by that key is neither carried out nor answered.

    Run it on the CA every minute, as an account of its own that is a certificate manager restricted
    to the device templates, and nothing else: not the account that enrols, no administrator. It
    needs .NET Framework 4.7 or later, and a client certificate in LocalMachine\My whose private key
    that account can read.
.PARAMETER ClientCertificate
    Thumbprint of the client certificate.
.PARAMETER State
    Folder for the record of what was carried out. Only the account may write there.
.PARAMETER PageSize
    Orders pulled at once.
#>
[CmdletBinding()]
param(
    [Parameter()]
    [ValidatePattern('\A[0-9A-Fa-f]{40}\z')]
    [string] $ClientCertificate = '0123456789ABCDEF0123456789ABCDEF01234567',

    [Parameter()]
    [ValidateNotNullOrEmpty()]
    [string] $State = (Join-Path -Path $env:ProgramData -ChildPath 'Countersign\Revoker'),

    [Parameter()]
    [ValidateRange(1, 200)]
    [int] $PageSize = 50
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

# From the configuration of the registration authority.
$Server = 'ra.example.com:8446'
$Authority = 'ad'
# The pinned order key: a point on P-256.
$OrderKeyX = '1QO8L6BJDMEdSsd2TWy5iWwa48IKaNELRkqfWNdPNRQ='
$OrderKeyY = 'pTiUMWMkuEjnPJtc/55iNw+Iux8AS5nfbcT8fXrWTcY='

# An order is exactly this, to the octet.
$Pattern = '\Acountersign-revocation-order-1\nnumber: (?<number>[1-9][0-9]{0,17})\nauthority: (?<authority>[A-Za-z0-9][A-Za-z0-9_-]{0,63})\nserial: (?<serial>[0-9a-f]{1,80})\ncertificate-sha256: (?<sha256>[0-9a-f]{64})\nreason: (?<reason>unspecified|key-compromise|affiliation-changed|superseded|cessation-of-operation)\nordered: (?<ordered>[0-9]{1,18})\n\z'

# CRLReason of RFC 5280 section 5.3.1.
$Reasons = @{
    'unspecified'            = 0
    'key-compromise'         = 1
    'affiliation-changed'    = 3
    'superseded'             = 4
    'cessation-of-operation' = 5
}

# Constants of ICertConfig, ICertView and of the CA's database.
$CC_LOCALCONFIG = 3
$CVR_SEEK_EQ = 1
$CVR_SORT_NONE = 0
$CV_OUT_BASE64 = 1
$DB_DISP_REVOKED = 21
$MaxPages = 1000

function Get-OrderKey {
    $point = New-Object -TypeName System.Security.Cryptography.ECPoint
    $point.X = [System.Convert]::FromBase64String($OrderKeyX)
    $point.Y = [System.Convert]::FromBase64String($OrderKeyY)
    $parameters = New-Object -TypeName System.Security.Cryptography.ECParameters
    $parameters.Curve = [System.Security.Cryptography.ECCurve+NamedCurves]::nistP256
    $parameters.Q = $point
    return [System.Security.Cryptography.ECDsa]::Create($parameters)
}

function Get-Sha256 {
    param([Parameter(Mandatory = $true)] [byte[]] $Octets)
    $algorithm = [System.Security.Cryptography.SHA256]::Create()
    try {
        return [System.BitConverter]::ToString($algorithm.ComputeHash($Octets)).Replace('-', '').ToLowerInvariant()
    }
    finally {
        $algorithm.Dispose()
    }
}

# The order in a served item, or nothing. The signature comes first: nothing unsigned is read.
function Read-Order {
    param(
        [Parameter(Mandatory = $true)] $Item,
        [Parameter(Mandatory = $true)] [System.Security.Cryptography.ECDsa] $Key
    )
    $document = [System.Convert]::FromBase64String([string] $Item.document)
    $signature = [System.Convert]::FromBase64String([string] $Item.signature)
    if ($document.Length -gt 1024 -or $signature.Length -ne 64) {
        Write-Warning -Message 'An order was refused: it has the wrong length.'
        return
    }
    if (-not $Key.VerifyData($document, $signature, [System.Security.Cryptography.HashAlgorithmName]::SHA256)) {
        Write-Warning -Message 'ALARM: an order was refused: its signature is not of the pinned order key.'
        return
    }
    $text = [System.Text.Encoding]::ASCII.GetString($document)
    $match = [System.Text.RegularExpressions.Regex]::Match($text, $Pattern, [System.Text.RegularExpressions.RegexOptions]::CultureInvariant)
    if (-not $match.Success) {
        Write-Warning -Message 'An order was refused: it is not in the form of version 1.'
        return
    }
    if ($match.Groups['authority'].Value -cne $Authority) {
        Write-Warning -Message 'ALARM: an order was refused: it is for another authority.'
        return
    }
    if ([long] $match.Groups['number'].Value -ne [long] $Item.number) {
        Write-Warning -Message 'ALARM: an order was refused: it came under another number.'
        return
    }
    return [pscustomobject] @{
        Number   = [long] $match.Groups['number'].Value
        Serial   = $match.Groups['serial'].Value
        Sha256   = $match.Groups['sha256'].Value
        Reason   = [int] $Reasons[$match.Groups['reason'].Value]
        Document = Get-Sha256 -Octets $document
    }
}

# The row of a certificate in the CA's database, or nothing.
function Find-Certificate {
    param(
        [Parameter(Mandatory = $true)] [string] $Config,
        [Parameter(Mandatory = $true)] [string] $Serial
    )
    # The database may hold the number with or without a zero octet before it.
    $bare = $Serial.TrimStart('0')
    if (($bare.Length % 2) -eq 1) { $bare = '0' + $bare }
    foreach ($candidate in @($Serial, $bare, ('00' + $bare)) | Select-Object -Unique) {
        $view = New-Object -ComObject CertificateAuthority.View
        $view.OpenConnection($Config)
        $view.SetResultColumnCount(2)
        $view.SetResultColumn($view.GetColumnIndex(0, 'Disposition'))
        $view.SetResultColumn($view.GetColumnIndex(0, 'RawCertificate'))
        $view.SetRestriction($view.GetColumnIndex(0, 'SerialNumber'), $CVR_SEEK_EQ, $CVR_SORT_NONE, $candidate)
        $rows = $view.OpenView()
        if ($rows.Next() -ge 0) {
            $columns = $rows.EnumCertViewColumn()
            [void] $columns.Next()
            $disposition = [int] $columns.GetValue(0)
            [void] $columns.Next()
            $octets = [System.Convert]::FromBase64String([string] $columns.GetValue($CV_OUT_BASE64))
            return [pscustomobject] @{
                Serial      = $candidate
                Disposition = $disposition
                Sha256      = Get-Sha256 -Octets $octets
            }
        }
    }
}

function New-Result {
    param(
        [Parameter(Mandatory = $true)] [long] $Number,
        [Parameter(Mandatory = $true)] [ValidateSet('carried-out', 'nothing-to-do', 'failed')] [string] $Result,
        [Parameter()] [bool] $Retry = $false,
        [Parameter()] [string] $Detail = ''
    )
    if ($Detail.Length -gt 400) { $Detail = $Detail.Substring(0, 400) }
    return [ordered] @{ number = $Number; result = $Result; retry = $Retry; detail = $Detail }
}

# Revokes, if the certificate of that serial number is the one that was meant.
function Invoke-Order {
    param(
        [Parameter(Mandatory = $true)] $Order,
        [Parameter(Mandatory = $true)] [string] $Config
    )
    try {
        $found = Find-Certificate -Config $Config -Serial $Order.Serial
        if ($null -eq $found) {
            return New-Result -Number $Order.Number -Result 'nothing-to-do' -Detail 'this CA issued no such certificate'
        }
        if ($found.Sha256 -cne $Order.Sha256) {
            return New-Result -Number $Order.Number -Result 'failed' -Detail 'the certificate of that serial is another one'
        }
        if ($found.Disposition -eq $DB_DISP_REVOKED) {
            return New-Result -Number $Order.Number -Result 'nothing-to-do' -Detail 'it was revoked before'
        }
        $admin = New-Object -ComObject CertificateAuthority.Admin
        # A date of zero: from now on.
        $admin.RevokeCertificate($Config, $found.Serial, $Order.Reason, [datetime]::FromOADate(0))
        return New-Result -Number $Order.Number -Result 'carried-out'
    }
    catch {
        return New-Result -Number $Order.Number -Result 'failed' -Retry $true -Detail ([string] $_.Exception.Message)
    }
}

# What was told of orders, by the digest of each: one that comes again is answered, not done again.
function Read-Done {
    param([Parameter(Mandatory = $true)] [string] $Path)
    $done = @{}
    if (Test-Path -LiteralPath $Path) {
        foreach ($line in [System.IO.File]::ReadAllLines($Path)) {
            $parts = $line.Split([char] 9)
            if ($parts.Length -eq 3) {
                $done[$parts[0]] = @{ Result = $parts[1]; Detail = $parts[2] }
            }
        }
    }
    return $done
}

function Send-Request {
    param(
        [Parameter(Mandatory = $true)] [string] $Method,
        [Parameter(Mandatory = $true)] [string] $Path,
        [Parameter(Mandatory = $true)] [System.Security.Cryptography.X509Certificates.X509Certificate2] $Certificate,
        [Parameter()] [string] $Body = ''
    )
    $request = @{
        Uri                = ('https://{0}{1}' -f $Server, $Path)
        Method             = $Method
        Certificate        = $Certificate
        TimeoutSec         = 30
        MaximumRedirection = 0
        UseBasicParsing    = $true
    }
    if ($Method -eq 'Post') {
        $request.ContentType = 'application/json'
        $request.Body = [System.Text.Encoding]::UTF8.GetBytes($Body)
    }
    return (Invoke-WebRequest @request).Content | ConvertFrom-Json
}

[System.Net.ServicePointManager]::SecurityProtocol = [System.Net.SecurityProtocolType]::Tls12
$certificate = Get-Item -LiteralPath ('Cert:\LocalMachine\My\' + $ClientCertificate)
if (-not $certificate.HasPrivateKey) {
    throw 'The client certificate has no private key that this account can use.'
}
if (-not (Test-Path -LiteralPath $State)) {
    [void] (New-Item -ItemType Directory -Path $State)
}
$record = Join-Path -Path $State -ChildPath 'orders-done.txt'
$done = Read-Done -Path $record
$key = Get-OrderKey
$config = (New-Object -ComObject CertificateAuthority.Config).GetConfig($CC_LOCALCONFIG)

$after = [long] 0
for ($pageNumber = 0; $pageNumber -lt $MaxPages; $pageNumber++) {
    $page = Send-Request -Method 'Get' -Path ('/orders?after={0}&limit={1}' -f $after, $PageSize) -Certificate $certificate
    $results = New-Object -TypeName System.Collections.ArrayList
    $last = $after
    foreach ($item in @($page.orders)) {
        $last = [long] $item.number
        $order = Read-Order -Item $item -Key $key
        if ($null -eq $order) { continue }
        if ($done.ContainsKey($order.Document)) {
            $known = $done[$order.Document]
            [void] $results.Add((New-Result -Number $order.Number -Result $known.Result -Detail $known.Detail))
            continue
        }
        $result = Invoke-Order -Order $order -Config $config
        if (-not $result.retry) {
            $detail = $result.detail -replace '[\t\r\n]', ' '
            $done[$order.Document] = @{ Result = $result.result; Detail = $detail }
            [System.IO.File]::AppendAllText($record, (($order.Document, $result.result, $detail) -join [char] 9) + [Environment]::NewLine)
        }
        [void] $results.Add($result)
        Write-Output -InputObject ('order {0}: {1} {2}' -f $order.Number, $result.result, $result.detail)
    }
    if ($results.Count -gt 0) {
        $body = ConvertTo-Json -InputObject @{ results = @($results) } -Depth 4 -Compress
        [void] (Send-Request -Method 'Post' -Path '/results' -Certificate $certificate -Body $body)
    }
    if (-not $page.more -or $last -le $after) { break }
    $after = $last
}
