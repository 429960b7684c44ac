// The one-time ticket in the address, as `agentd open` makes it, becomes a cookie; signing out ends that.

const TICKET = /^#ticket=(.+)$/;

export function hasTicket() {
  return TICKET.test(location.hash);
}

/** Signs in if the address has a ticket, which is taken out of it first. */
export async function signIn() {
  const ticket = location.hash.match(TICKET)?.[1];
  if (!ticket) return;
  history.replaceState(null, "", "/");
  await fetch("/api/ticket", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ticket: decodeURIComponent(ticket) }),
  }).catch(() => {}); // the connection says whether it worked
}

/** Ends the cookie; agentd then ends the connections that came with it. */
export async function signOut() {
  await fetch("/api/ticket", { method: "DELETE" }).catch(() => {});
  location.reload();
}
