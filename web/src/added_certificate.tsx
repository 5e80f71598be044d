// What stands there once a certificate is added: its facts, its files, and how to use it.
import { useEffect, useState } from "react";
import type { Added } from "./add_certificate";
import { type Application, type EnvironmentName, api } from "./api";
import { download, fileName } from "./files";
import { CommandLine, Copy, Moment, ReceiptLine, useLoaded } from "./ui";

interface Props {
  added: Added;
  of: Application;
  environment: EnvironmentName;
  onSaved: () => void;
  onClose: () => void;
}

export function Finished({ added, of, environment, onSaved, onClose }: Props) {
  const { made, kept } = added;
  const [saved, setSaved] = useState(false);
  const namespaces = useLoaded("namespaces", api.namespaces);
  const name = fileName(made.alias || "certificate");
  const save = (file: string, kind: string, content: BlobPart) => {
    download(file, kind, content);
    setSaved(true);
    onSaved();
  };
  useEffect(() => document.querySelector<HTMLElement>("dialog [data-first]")?.focus(), []);
  const enters = of[environment].namespacePermissions;
  const door = namespaces.value?.find((one) => one.namespace in enters)?.endpoint;
  const credential = kept ? `--cert-type P12 --cert '${name}.p12:PASSWORD'` : `--cert ${name}.pem --key YOUR.key`;
  return (
    <>
      <ReceiptLine of={made.requestStatus} />
      {made.warnings?.map((one) => (
        <p className="hint" key={one}>
          {one}
        </p>
      ))}
      <dl>
        <dt>Alias</dt>
        <dd>
          <bdi>{made.alias}</bdi>
        </dd>
        <dt>Subject</dt>
        <dd>
          <bdi>{made.subject}</bdi>
        </dd>
        <dt>Serial number</dt>
        <dd>
          <code>{made.serial}</code> <Copy text={made.serial} of="serial number" />
        </dd>
        <dt>Valid until</dt>
        <dd>
          <Moment of={made.notAfter} />
        </dd>
        <dt>Possession</dt>
        <dd>{made.proven ? "proved" : "not proved: it lets its holder in only where no accepted CA decides"}</dd>
      </dl>
      {kept && (
        <>
          <h3>Save the key now</h3>
          <p className="hint">
            It was made in this browser and is nowhere else. When this is closed it is gone. Both files are locked with your password.
          </p>
          <div className="answers">
            <button type="button" data-first onClick={() => save(`${name}.p12`, "application/x-pkcs12", kept.keystore)}>
              Save keystore (.p12)
            </button>
            <button type="button" className="quiet" onClick={() => save(`${name}.key.pem`, "application/x-pem-file", kept.key)}>
              Save key (PEM)
            </button>
          </div>
          <p className="hint">Windows before 2022 and old Apple keychains do not read such a keystore; take the PEM files there.</p>
        </>
      )}
      <div className="answers">
        <button
          type="button"
          className="quiet"
          data-first={kept ? undefined : true}
          onClick={() => download(`${name}.pem`, "application/x-pem-file", made.certificate + made.chain)}
        >
          Save certificate and chain (PEM)
        </button>
      </div>
      {door && (
        <>
          <h3>Try it</h3>
          <p className="hint">
            In the folder with the saved files. The gateway's own certificate is signed by this installation's CA; save it beside them:{" "}
            <a href="/ca.pem" download="countersign-ca.pem">
              countersign-ca.pem
            </a>
            .
          </p>
          <CommandLine text={`curl --cacert countersign-ca.pem ${credential} https://${door}/`} of="command" />
        </>
      )}
      <div className="answers">
        <button type="button" className={kept && !saved ? "quiet" : ""} onClick={onClose}>
          Done
        </button>
      </div>
    </>
  );
}
