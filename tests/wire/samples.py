"""Responses as documented or recorded."""

from __future__ import annotations

NAMESPACE = "http://schemas.microsoft.com/windowsazure"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
REQUEST_ID = "0c9f2f6e4ac83ac3a5e7c8fbf0c2c1d4"
DASHED_ID = "0c9f2f6e-4ac8-3ac3-a5e7-c8fbf0c2c1d4"
ETAG = "2f2f46dd-1f4e-4a3c-9f65-6bb9ad1a3a52"


def resource(name: str = "orders", state: str = "Started", sub_state: str = "Active", edition: str = "Premium") -> str:
    return f"""<Resource>
      <ResourceProviderNamespace>biztalkservices</ResourceProviderNamespace><Type>biztalk</Type><Name>{name}</Name>
      <SchemaVersion>1.0</SchemaVersion><ETag>{ETAG}</ETag><State>{state}</State><SubState>{sub_state}</SubState>
      <UsageMeters />
      <IntrinsicSettings><ServiceSettings xmlns="">
        <CustomDomainUrl>https://user:hunter2@edi.contoso.example/x</CustomDomainUrl>
        <ServiceVersion>1.1.0</ServiceVersion><Edition>{edition}</Edition><UnitCount>2</UnitCount>
        <ServiceCertificate><Data>UEZYLWNhbmFyeQ==</Data><Password>canary-pfx</Password></ServiceCertificate>
        <TrackingStoreConnectionString>Data Source=tcp:db.contoso.example;Initial Catalog=OrdersTracking;Integrated
          Security=False;User ID=canary-user;Password=canary-sql</TrackingStoreConnectionString>
        <ArchiveStoreConnectionString>AccountName=archive;AccountKey=canary-key</ArchiveStoreConnectionString>
        <AccessControlNamespace>contoso-acs</AccessControlNamespace><AccessControlKey>canary-acs</AccessControlKey>
        <NewSecret>canary-new</NewSecret>
      </ServiceSettings></IntrinsicSettings>
      <OutputItems><OutputItem><Key>CreationDate</Key><Value>7/6/2014 5:51:01 PM +00:00</Value></OutputItem>
      </OutputItems>
      <OperationStatus><Type>Update</Type><Result>Succeeded</Result></OperationStatus><Label />
    </Resource>"""


OTHER_RESOURCE = (
    "<Resource><ResourceProviderNamespace>cacheservice</ResourceProviderNamespace><Type>Caching</Type><Name>cache</Name>"
    "<ETag>x</ETag><State>Started</State><SubState>Active</SubState></Resource>"
)


def cloud_service(*resources: str, name: str = "contoso-west", region: str = "West US") -> str:
    return (
        f"<CloudService><Name>{name}</Name><Label>{name}</Label><Description/><GeoRegion>{region}</GeoRegion>"
        f"<Resources>{''.join(resources)}</Resources></CloudService>"
    )


def single(*resources: str) -> str:
    return cloud_service(*resources).replace(
        "<CloudService>", f'<CloudService xmlns="{NAMESPACE}" xmlns:i="{INSTANCE}">'
    )


def fleet(*cloud_services: str) -> str:
    return f'<CloudServices xmlns="{NAMESPACE}" xmlns:i="{INSTANCE}">{"".join(cloud_services)}</CloudServices>'


def error(code: str, message: str = "Operation not allowed") -> str:
    return f'<Error xmlns="{NAMESPACE}"><Code>{code}</Code><Message>{message}</Message></Error>'


def service_poll(result: str, error_parts: str = "") -> str:
    return f"<OperationStatus><Result>{result}</Result>{error_parts}</OperationStatus>"


def subscription_poll(status: str, tail: str = "", operation_id: str = DASHED_ID) -> str:
    parts = f"<ID>{operation_id}</ID><Status>{status}</Status>{tail}"
    return f'<Operation xmlns="{NAMESPACE}" xmlns:i="{INSTANCE}">{parts}</Operation>'
