// Where the console begins: the frame, and which page stands in it.
import { createRoot } from "react-dom/client";
import { useEffect } from "react";
import { api } from "./api";
import { ApplicationPage } from "./application";
import { ApplicationsPage } from "./applications";
import "./console.css";
import { useAddress } from "./route";
import { Link, useLoaded } from "./ui";

function Page({ address }: { address: string }) {
  const application = /^\/applications\/([A-Za-z0-9_-]+)$/.exec(address);
  if (application?.[1]) return <ApplicationPage id={application[1]} />;
  if (address === "/" || address === "/applications") return <ApplicationsPage />;
  return (
    <p className="none">
      There is nothing at this address. <Link to="/">Applications</Link>
    </p>
  );
}

function Console() {
  const address = useAddress();
  const me = useLoaded("me", api.me);
  useEffect(() => document.getElementById("main")?.focus(), [address]);
  return (
    <>
      <a className="skip" href="#main">
        To the content
      </a>
      <header>
        <a className="mark" href="/">
          Countersign
        </a>
        <nav aria-label="Console">
          <Link to="/">Applications</Link>
        </nav>
        {me.value && (
          <a className="me" href="/security">
            <bdi>{me.value.name}</bdi>
          </a>
        )}
        <form method="post" action="/logout">
          <button className="quiet">Sign out</button>
        </form>
      </header>
      <main id="main" tabIndex={-1}>
        <Page key={address} address={address} />
      </main>
    </>
  );
}

const root = document.getElementById("root");
if (root) createRoot(root).render(<Console />);
