// An echo over @hyperswarm/rpc, with a DHT of three nodes beside it in this process.
const RPC = require('@hyperswarm/rpc')
const createTestnet = require('hyperdht/testnet')

const BULK = Buffer.alloc(64 * 1024, 'w')

async function main () {
  const testnet = await createTestnet(3)
  const rpc = new RPC({ dht: testnet.createNode() })
  const server = rpc.createServer()
  server.respond('echo', body => body)
  server.respond('bulk', () => BULK)
  await server.listen()
  const address = Buffer.from(JSON.stringify({ key: server.publicKey.toString('hex'), bootstrap: testnet.bootstrap })).toString('base64')
  console.log(JSON.stringify({ ready: true, address }))
}

main()
