import { type Script, script } from './redis-scripts.ts'

/**
 * What Redis holds of channels with history, below `<prefix>:{<app>}:` (written `B` here). A channel's epoch and serials live longer than its events.
 * An epoch ends with the Redis process it began in: after a restart or a failover the latest events may be lost, and their serials given to others.
 *
 *     B histories          set     channels that have a state, or had one
 *     B history:<channel>  hash    e -> epoch, s -> serial of the last event, b -> bytes of the events, r -> run id of Redis
 *     B events:<channel>   stream  <serial>-0: until in ms of Redis's clock, origin, bytes, except, event, data
 *     B origins:<channel>  hash    origin -> serial, of the events in the stream
 */
const shared = `
local B, run, newEpoch, stateLife = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end

local function open(channel)
  local log = { state = B .. 'history:' .. channel, events = B .. 'events:' .. channel, origins = B .. 'origins:' .. channel }
  local state = redis.call('HMGET', log.state, 'e', 's', 'b', 'r')
  if state[1] and state[4] == run then
    log.epoch, log.serial, log.bytes = state[1], tonumber(state[2]), tonumber(state[3])
    return log
  end
  log.epoch, log.serial, log.bytes = newEpoch, 0, 0
  redis.call('DEL', log.events, log.origins)
  redis.call('HSET', log.state, 'e', newEpoch, 's', '0', 'b', '0', 'r', run)
  redis.call('PEXPIRE', log.state, stateLife)
  redis.call('SADD', B .. 'histories', channel)
  -- Two that are looked at for each that comes keep those that are gone few.
  for _, other in ipairs(redis.call('SRANDMEMBER', B .. 'histories', 2)) do
    if redis.call('EXISTS', B .. 'history:' .. other) == 0 then redis.call('SREM', B .. 'histories', other) end
  end
  return log
end

local function trim(log, size, most)
  local count = redis.call('XLEN', log.events)
  if count == 0 then log.bytes = 0 end
  while count > 0 do
    local first = redis.call('XRANGE', log.events, '-', '+', 'COUNT', 1)[1]
    local kept = first[2]
    -- A stream that went as a whole, by its age, has left its bytes in the count.
    if count == 1 then log.bytes = tonumber(kept[6]) end
    if tonumber(kept[2]) > now and count <= size and log.bytes <= most then break end
    redis.call('XDEL', log.events, first[1])
    if kept[4] ~= '' then redis.call('HDEL', log.origins, kept[4]) end
    log.bytes = log.bytes - tonumber(kept[6])
    count = count - 1
  end
  return count
end
`

export const historyScripts = {
  /**
   * ARGV: B, run id of Redis, epoch to use where there is none, ms for which a state lives, head of a message, topic; then for each event: channel, it
   * as JSON, size, ttl in ms, bytes, ms for which a cache channel keeps it (0: none), origin or '', bytes it takes, except or '', name and data as JSON.
   * -> for each event: epoch, serial, 1 where the origin was there already.
   */
  append: script(`${shared}
local lines, answers = {}, {}
for at = 7, #ARGV, 11 do
  local channel, named, origin, except, name, data = ARGV[at], ARGV[at + 1], ARGV[at + 6], ARGV[at + 8], ARGV[at + 9], ARGV[at + 10]
  local ttl, most = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local log = open(channel)
  local known = origin ~= '' and redis.call('HGET', log.origins, origin)
  if known then
    answers[#answers + 1], answers[#answers + 2], answers[#answers + 3] = log.epoch, tonumber(known), 1
  else
    local id = text(log.serial + 1)
    local fields = { 'u', text(now + ttl), 'o', origin, 'z', ARGV[at + 7], 'x', except, 'e', name, 'd', data }
    redis.call('XADD', log.events, id .. '-0', unpack(fields))
    if origin ~= '' then
      redis.call('HSET', log.origins, origin, id)
      redis.call('PEXPIRE', log.origins, ttl)
    end
    redis.call('PEXPIRE', log.events, ttl)
    log.bytes = log.bytes + tonumber(ARGV[at + 7])
    trim(log, tonumber(ARGV[at + 2]), most)
    redis.call('HSET', log.state, 's', id, 'b', text(log.bytes))
    redis.call('PEXPIRE', log.state, math.max(stateLife, ttl))
    if ARGV[at + 5] ~= '0' then
      redis.call('SET', B .. 'cache:' .. channel, table.concat({ 'e', named, except, '', name, data }, '\\t') .. '\\n', 'PX', ARGV[at + 5])
    end
    lines[#lines + 1] = table.concat({ 'h', named, log.epoch, id, except, name, data }, '\\t')
    answers[#answers + 1], answers[#answers + 2], answers[#answers + 3] = log.epoch, log.serial + 1, 0
  end
end
if #lines > 0 then redis.call('PUBLISH', ARGV[6], ARGV[5] .. table.concat(lines, '\\n') .. '\\n') end
return answers`),

  /**
   * ARGV: B, run id, epoch to use, ms for which a state lives, channel, a position's epoch and serial.
   * -> epoch, serial of the last event, 'expired' | 'changed' | [[serial, except, name, data]]
   */
  since: script(`${shared}
local log, from = open(ARGV[5]), tonumber(ARGV[7])
if ARGV[6] ~= log.epoch or from > log.serial then return { log.epoch, log.serial, 'changed' } end
local count = trim(log, math.huge, math.huge)
redis.call('HSET', log.state, 'b', text(log.bytes))
if log.serial - from > count then return { log.epoch, log.serial, 'expired' } end
local missed = {}
if log.serial > from then
  for _, entry in ipairs(redis.call('XRANGE', log.events, text(from + 1) .. '-0', '+')) do
    local kept = entry[2]
    missed[#missed + 1] = { tonumber(string.match(entry[1], '^%d+')), kept[8], kept[10], kept[12] }
  end
end
return { log.epoch, log.serial, missed }`),

  /**
   * Says where channels stand, in the order of their events: by message. ARGV: B, run id, epoch to use, ms for which a state lives, head of a message,
   * topic; then for each: channel, it as JSON.
   */
  stand: script(`${shared}
local lines = {}
for at = 7, #ARGV, 2 do
  local log = open(ARGV[at])
  lines[#lines + 1] = table.concat({ 's', ARGV[at + 1], log.epoch, text(log.serial) }, '\\t')
end
redis.call('PUBLISH', ARGV[6], ARGV[5] .. table.concat(lines, '\\n') .. '\\n')
return #lines`),

  /** Forgets channels. ARGV: B; then channels. */
  forget: script(`
local B = ARGV[1]
for at = 2, #ARGV do
  local channel = ARGV[at]
  redis.call('DEL', B .. 'history:' .. channel, B .. 'events:' .. channel, B .. 'origins:' .. channel)
  redis.call('SREM', B .. 'histories', channel)
end
return 0`),
} satisfies Readonly<Record<string, Script>>
