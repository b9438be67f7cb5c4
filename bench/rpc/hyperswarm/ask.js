// Asks the echo: node ask.js ADDRESS; then a JSON object a line on stdin, as bench/rpc/load.py.
const RPC = require('@hyperswarm/rpc')
const DHT = require('hyperdht')
const readline = require('readline')

const { key, bootstrap } = JSON.parse(Buffer.from(process.argv[2], 'base64'))
const BODY = Buffer.alloc(200, 'x')
const publicKey = Buffer.from(key, 'hex')
const now = () => performance.now()

function percentiles (times) {
  times.sort((a, b) => a - b)
  return { p50_ms: times[times.length >> 1], p99_ms: times[Math.min(times.length - 1, Math.floor(times.length * 0.99))] }
}

async function rate (client, { at_once: atOnce, seconds }) {
  const times = []
  const began = now()
  const stop = began + seconds * 1000
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (true) {
      const sent = now()
      await client.request('echo', BODY)
      const got = now()
      times.push(got - sent)
      if (got >= stop) return
    }
  }))
  const took = (now() - began) / 1000
  return { requests: times.length, seconds: took, ...percentiles(times) }
}

async function beside (client, { seconds }) {
  let going = true
  let bytes = 0
  const bulk = Promise.all([0, 1].map(async () => {
    while (going) bytes += (await client.request('bulk', BODY)).length
  }))
  await new Promise(resolve => setTimeout(resolve, 200))
  bytes = 0
  const found = await rate(client, { at_once: 1, seconds })
  const moved = bytes
  going = false
  await bulk
  return { ...found, bulk_mb_s: moved / found.seconds / 1e6 }
}

async function connect ({ times }) {
  const ms = []
  for (let n = 0; n < times; n++) {
    const rpc = new RPC({ dht: new DHT({ bootstrap, host: '127.0.0.1' }) })
    await rpc.dht.fullyBootstrapped()
    const began = now()
    const client = await open(rpc)
    ms.push(now() - began)
    await client.end()
    await rpc.dht.destroy({ force: true })
    await rpc.destroy({ force: true })
  }
  return { ms }
}

async function open (rpc) {
  for (let tries = 0; ; tries++) {
    try {
      const client = rpc.connect(publicKey)
      await client.request('echo', BODY)
      return client
    } catch (error) {
      if (tries === 5) throw error
    }
  }
}

async function main () {
  const rpc = new RPC({ dht: new DHT({ bootstrap, host: '127.0.0.1' }) })
  let client = await open(rpc)
  console.log(JSON.stringify({ ready: true }))
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const given = JSON.parse(line)
    client.destroy()
    client = await open(rpc) // one that idled while others had their turn was found dead
    const commands = { rate: () => rate(client, given), beside: () => beside(client, given), connect: () => connect(given) }
    console.log(JSON.stringify(await commands[given.do]()))
  }
  process.exit(0)
}

main()
